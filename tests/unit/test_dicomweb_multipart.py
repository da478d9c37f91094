"""Multipart bodies, cut anywhere, broken anyhow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_adapter.dicomweb import ImageStoreLied, Limits
from fhir_adapter.dicomweb.multipart import boundary_of, media_type_of, parts_of

LIMITS = Limits(part=1000, header=200)


def body_of(*parts: bytes, boundary: str = "b", headers: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    delimiter = b"--" + boundary.encode()
    return b"".join(delimiter + b"\r\n" + headers + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def bodies(pieces: list[bytes] | Iterator[bytes], boundary: str = "b", limits: Limits = LIMITS) -> list[bytes]:
    return [part.body for part in parts_of(pieces, boundary, limits)]


@given(
    parts=st.lists(st.binary(max_size=60).filter(lambda part: b"--b" not in part), max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_parts_are_the_same_wherever_the_body_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    whole = body_of(*parts)
    at = [0, *sorted(cuts), len(whole)]
    assert bodies([whole[start:end] for start, end in pairwise(at)]) == parts


def test_one_byte_at_a_time() -> None:
    whole = b"preamble\r\n" + body_of(b"\r\n--\r\n-", b"", b"x" * 999) + b"epilogue"
    assert bodies([bytes([byte]) for byte in whole]) == [b"\r\n--\r\n-", b"", b"x" * 999]


def test_headers_of_parts() -> None:
    headers = b"Content-Type: image/jp2; transfer-syntax=1.2\r\nCONTENT-LOCATION:  here \r\n"
    (part,) = parts_of([body_of(b"x", headers=headers)], "b", LIMITS)
    assert part.headers == {"content-type": "image/jp2; transfer-syntax=1.2", "content-location": "here"}
    (part,) = parts_of([body_of(b"x", headers=b"")], "b", LIMITS)
    assert part.headers == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "ends before"),
        (body_of(b"x")[:-6], "ends before"),
        (b"--b\r\nContent-Type: x\r\n", "ends before"),
        (b"--b\r\n\r\n" + b"x" * 2000, "part of the server's multipart answer is over the limit of 1000"),
        (body_of(b"x" * 1001), "over the limit of 1000"),
        (b"--b\r\nA: " + b"x" * 300 + b"\r\n\r\nx\r\n--b--", "headers of a part are over"),
        (b"--b\r\nA: " + b"x" * 300, "headers of a part are over"),
        (b"--b\r\nno header\r\n\r\nx\r\n--b--", "malformed header"),
        (b"--bb\r\n\r\nx\r\n--b--", "delimiter of the server's multipart answer is malformed"),
        (b"--b" + b" " * 2000, "delimiter of the server's multipart answer is malformed"),
        (b"x" * 70_000, "preamble of the server's multipart answer is over"),
        (body_of(b"x") + b"x" * 70_000, "epilogue of the server's multipart answer is over"),
    ],
)
def test_what_is_malformed_or_endless_is_refused(body: bytes, words: str) -> None:
    for size in (7, 100_000):
        with pytest.raises(ImageStoreLied, match=words):
            bodies([body[start : start + size] for start in range(0, len(body), size)])


def test_memory_is_that_of_one_part() -> None:
    part, piece = 4 * 1024 * 1024, 64 * 1024

    def pieces() -> Iterator[bytes]:
        for _ in range(8):
            yield b"--b\r\n\r\n"
            for _ in range(part // piece):
                yield bytes(piece)
            yield b"\r\n"
        yield b"--b--"

    tracemalloc.start()
    try:
        count = sum(1 for found in parts_of(pieces(), "b", Limits(part=part)) if len(found.body) == part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 8
    # the part being read, the one just handed over, and what a growing buffer reserves
    assert peak < 3 * part


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        ("Application/DICOM+json", "application/dicom+json", {}),
        ('multipart/related; type="application/dicom"; boundary=x', "multipart/related", {"type": "application/dicom"}),
        ('multipart/related;Boundary="a b";start="<1>"', "multipart/related", {"boundary": "a b", "start": "<1>"}),
        (
            'multipart/related; type="image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91"; boundary=x',
            "multipart/related",
            {"type": "image/jp2", "transfer-syntax": "1.2.840.10008.1.2.4.91"},
        ),
        (r'x/y; a="q\"q"', "x/y", {"a": 'q"q'}),
    ],
)
def test_media_types(value: str, kind: str, parameters: dict[str, str]) -> None:
    found = media_type_of(value)
    assert found[0] == kind
    assert found[1] == {**parameters, **({"boundary": "x"} if "boundary=x" in value else {})}


def test_boundaries() -> None:
    assert boundary_of("application/dicom") is None
    assert boundary_of('multipart/related; boundary="gc0p4Jq0M2Yt08jU534c0p=="') == "gc0p4Jq0M2Yt08jU534c0p=="
    for wrong in ("multipart/related", "multipart/related; boundary=" + "x" * 71, 'multipart/related; boundary="x\ty"'):
        with pytest.raises(ImageStoreLied, match="no valid boundary"):
            boundary_of(wrong)
    with pytest.raises(ImageStoreLied, match="too long"):
        boundary_of("multipart/related; boundary=x" + " " * 2000)
