"""What a DICOMweb server may do wrong, and what is made of it; a server in memory plays the part."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from fhir_adapter.dicomweb import (
    ImageNotFound,
    ImagesNotStored,
    ImageStoreError,
    ImageStoreLied,
    ImageStoreRejected,
    ImageStoreUnavailable,
    Limits,
    StoreFailure,
    WebImageStore,
)
from fhir_adapter.egress import EgressRefused
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.retry import RetryPolicy
from fhir_adapter.tenants import Tenant
from tests.imagestores import SERIES, STUDY, ct_path, ct_slice

ROOT = "https://pacs.test/dicom-web"
PATH = ct_path(1)
Handler = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers from a list, or by a function; keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Handler) -> None:
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        self._answers = iter(answers)
        self._last: httpx.Response | Exception | Handler | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return self._last(request) if callable(self._last) else self._last  # type: ignore[return-value]

    def store(self, token: Any = "secret-token", **more: Any) -> WebImageStore:
        policy = RetryPolicy(attempts=3, deadline=60.0)
        return WebImageStore(
            ROOT,
            token,
            **{"retry": policy, **more},
            transport=httpx.MockTransport(self),
            sleep=self.waits.append,
            uniform=lambda _low, high: high,
        )


def multipart(*parts: bytes, kind: str = "application/dicom", status: int = 200, **headers: str) -> httpx.Response:
    body = (
        b"".join(b"--b\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + part + b"\r\n" for part in parts) + b"--b--"
    )
    told = {"Content-Type": f'multipart/related; type="{kind}"; boundary=b', **headers}
    return httpx.Response(status, headers=told, content=body)


def instance_row(**values: Any) -> dict[str, Any]:
    found = {"0020000D": STUDY, "0020000E": SERIES, "00080018": PATH.instance, **values}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in found.items() if value is not None}


def ask_all(store: WebImageStore) -> Iterator[Callable[[], object]]:
    yield lambda: store.studies(STUDY)
    yield lambda: store.series(STUDY)
    yield lambda: store.instances(STUDY, SERIES)
    yield lambda: store.metadata(STUDY, SERIES)
    yield lambda: store.instance(PATH)
    yield lambda: store.frames(PATH, [1])
    yield lambda: store.bulk(PATH, "bulk/7FE00010")


def test_questions_as_the_standard_wants_them() -> None:
    server = Server(
        httpx.Response(204), httpx.Response(200, json=[]), multipart(ct_slice(1)), multipart(b"x", b"y", kind="x/y")
    )
    store = server.store()
    assert store.studies(STUDY) == store.instances(STUDY, SERIES, PATH.instance) == []
    store.instance(PATH)
    store.frames(PATH, [3, 5])
    urls = [str(request.url).removeprefix(ROOT) for request in server.requests]
    assert urls == [
        f"/studies?StudyInstanceUID={STUDY}&limit=200&offset=0",
        f"/studies/{STUDY}/series/{SERIES}/instances?includefield=00280008&SOPInstanceUID={PATH.instance}&limit=200&offset=0",
        f"/{PATH.resource}",
        f"/{PATH.resource}/frames/3,5",
    ]
    assert [request.headers["accept"] for request in server.requests] == [
        "application/dicom+json",
        "application/dicom+json",
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    ]
    assert [request.headers["accept-encoding"] for request in server.requests] == [
        "gzip",
        "gzip",
        "identity",
        "identity",
    ]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer secret-token"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    server = Server(httpx.Response(status), httpx.Response(status), multipart(ct_slice(1)))
    assert server.store().instance(PATH) == ct_slice(1)
    assert server.waits == [0.2, 0.4]


def test_tries_are_bounded_and_retry_after_is_kept() -> None:
    server = Server(httpx.Response(503, headers={"retry-after": "7"}))
    with pytest.raises(
        ImageStoreUnavailable, match=rf"instance {PATH.instance}: the image store answered 503"
    ) as caught:
        server.store().instance(PATH)
    assert caught.value.status == 503
    assert server.waits == [7.0, 7.0]
    server = Server(httpx.Response(503, headers={"retry-after": "700"}))
    with pytest.raises(ImageStoreUnavailable):
        server.store().instance(PATH)
    assert server.waits == []


@pytest.mark.parametrize("error", [httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.RemoteProtocolError("")])
def test_a_connection_that_fails_is_tried_again(error: Exception) -> None:
    server = Server(error, multipart(ct_slice(1)))
    assert server.store().instance(PATH) == ct_slice(1)
    with pytest.raises(ImageStoreUnavailable, match=type(error).__name__):
        Server(error).store().instance(PATH)


class Cut(httpx.SyncByteStream):
    """A body whose connection breaks."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"--b\r\n\r\nDICOM"
        raise httpx.ReadError("reset")


def test_a_body_that_is_cut_is_fetched_again() -> None:
    headers = {"Content-Type": "multipart/related; boundary=b"}
    server = Server(httpx.Response(200, headers=headers, stream=Cut()), multipart(ct_slice(1)))
    assert server.store().instance(PATH) == ct_slice(1)
    with pytest.raises(ImageStoreUnavailable, match="cut short"):
        Server(lambda _: httpx.Response(200, headers=headers, stream=Cut())).store().instance(PATH)


class Slow(httpx.SyncByteStream):
    """A body that never ends."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"--b\r\n\r\n"
        while True:
            yield b"x" * 100_000


def test_a_body_that_does_not_end_in_time_is_given_up() -> None:
    headers = {"Content-Type": "multipart/related; boundary=b"}
    server = Server(httpx.Response(200, headers=headers, stream=Slow()))
    with pytest.raises(ImageStoreUnavailable, match="did not end in time"):
        server.store(retry=RetryPolicy(attempts=1, deadline=0.05)).instance(PATH)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(status: int) -> None:
    server = Server(httpx.Response(status, headers={"location": "https://elsewhere.test/"}))
    for ask in ask_all(server.store()):
        with pytest.raises(ImageStoreRejected, match="redirect; not followed"):
            ask()
    assert {request.url.host for request in server.requests} == {"pacs.test"}


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there(status: int) -> None:
    store = Server(httpx.Response(status)).store()
    # below a study that is not there; at the root it would be the address that is wrong
    assert store.series(STUDY) == store.instances(STUDY, SERIES) == []
    for ask in (lambda: store.studies(STUDY), lambda: store.metadata(STUDY, SERIES), lambda: store.instance(PATH)):
        with pytest.raises(ImageNotFound, match=str(status)):
            ask()


def test_nothing_is_not_an_instance() -> None:
    for ask in (lambda store: store.instance(PATH), lambda store: store.metadata(STUDY, SERIES)):
        with pytest.raises(ImageNotFound):
            ask(Server(httpx.Response(204)).store())


def test_a_token_that_was_refused_is_renewed_once() -> None:
    class Tokens:
        def __init__(self) -> None:
            self.refused: list[str] = []

        def token(self) -> str:
            return "old"

        def renew(self, refused: str) -> str | None:
            self.refused.append(refused)
            return "new"

    tokens = Tokens()
    server = Server(httpx.Response(401), httpx.Response(204))
    assert server.store(tokens).studies(STUDY) == []
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]
    server = Server(httpx.Response(401))
    with pytest.raises(ImageStoreRejected) as caught:
        server.store(tokens).studies(STUDY)
    assert (caught.value.status, len(server.requests), tokens.refused) == (401, 2, ["old", "old"])


OTHER = "1.2.3.4"


@pytest.mark.parametrize("wrong", [{"study": OTHER}, {"series": OTHER}, {"SOPInstanceUID": OTHER}])
def test_another_instance_than_was_asked_for_is_refused(wrong: dict[str, str]) -> None:
    server = Server(multipart(ct_slice(1, **wrong)))
    with pytest.raises(ImageStoreLied, match=rf"instance {PATH.instance}: the server answered with another instance"):
        server.store().instance(PATH)


@pytest.mark.parametrize("tag", ["0020000D", "0020000E", "00080018"])
def test_rows_and_metadata_of_another_are_refused(tag: str) -> None:
    lying = Server(httpx.Response(200, json=[instance_row(**{tag: OTHER})])).store()
    for ask in (
        lambda: lying.instances(STUDY, SERIES, PATH.instance),
        lambda: lying.metadata(STUDY, SERIES, PATH.instance),
    ):
        with pytest.raises(ImageStoreLied, match="another"):
            ask()


def test_rows_need_valid_uids_yet_not_those_that_were_asked_for() -> None:
    row = instance_row(**{"0020000D": None, "0020000E": None})
    (found,) = Server(httpx.Response(200, json=[row])).store().instances(STUDY, SERIES)
    assert found.path == PATH
    for wrong in ("../../x", "", None):
        server = Server(httpx.Response(200, json=[instance_row(**{"00080018": wrong})]))
        with pytest.raises(ImageStoreLied, match="no valid instance UID"):
            server.store().instances(STUDY, SERIES)


@pytest.mark.parametrize(
    "answer",
    [
        multipart(b"not DICOM"),
        multipart(),
        multipart(ct_slice(1), ct_slice(2)),
        httpx.Response(200, content=b"<html>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, content=b"--b\r\n\r\n", headers={"Content-Type": "multipart/related; boundary=b"}),
        httpx.Response(200, content=b"x", headers={"Content-Type": "multipart/related"}),
    ],
)
def test_what_is_no_instance_is_refused(answer: httpx.Response) -> None:
    with pytest.raises(ImageStoreLied, match=f"^instance {PATH.instance}"):
        Server(answer).store().instance(PATH)


def test_a_single_part_will_do() -> None:
    server = Server(httpx.Response(200, content=ct_slice(1), headers={"Content-Type": "application/dicom"}))
    assert server.store().instance(PATH) == ct_slice(1)


@pytest.mark.parametrize("content", [b"<html>", b"5", b'"x"', b"[1]", b"[" * 100_000])
def test_what_is_no_dicom_json_is_refused(content: bytes) -> None:
    for ask in (lambda store: store.studies(STUDY), lambda store: store.metadata(STUDY, SERIES)):
        with pytest.raises(ImageStoreLied, match="JSON"):
            ask(Server(httpx.Response(200, content=content)).store())


def test_frames_of_another_are_refused() -> None:
    for location in (f"/instances/{OTHER}/frames/1", f"/instances/{PATH.instance}/frames/2"):
        body = f"--b\r\nContent-Location: {ROOT}{location}\r\n\r\nx\r\n--b--".encode()
        server = Server(httpx.Response(200, content=body, headers={"Content-Type": "multipart/related; boundary=b"}))
        with pytest.raises(ImageStoreLied, match="another instance or frame"):
            server.store().frames(PATH, [1])
    for parts in ((b"x",), (b"x", b"y", b"z")):
        with pytest.raises(ImageStoreLied, match="parts"):
            Server(multipart(*parts)).store().frames(PATH, [1, 2])


def test_the_transfer_syntax_of_frames() -> None:
    one = multipart(b"x", kind="image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91")
    outer = multipart(b"x", kind="image/jp2")
    outer.headers["Content-Type"] += "; transfer-syntax=1.2.840.10008.1.2.4.90"
    found = [Server(answer).store().frames(PATH, [1])[0] for answer in (one, outer, multipart(b"x"))]
    assert [frame.transfer_syntax for frame in found] == ["1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.90", None]


@pytest.mark.parametrize(
    "uri",
    [
        "https://elsewhere.test/x",
        "//elsewhere.test/x",
        "/other",
        "../../../../../../../x",
        "http://pacs.test/dicom-web/x",
    ],
)
def test_bulk_data_outside_the_store_is_not_followed(uri: str) -> None:
    server = Server(multipart(b"x"))
    with pytest.raises(ImageStoreRejected, match="leaves the image store"):
        server.store().bulk(PATH, uri)
    assert server.requests == []


def test_sizes_are_bounded() -> None:
    small = Limits(part=100, json=100, rows=10, page=5)
    big = b"x" * 101
    with pytest.raises(ImageStoreLied, match="over the limit of 100 bytes"):
        Server(multipart(big)).store(limits=small).bulk(PATH, "bulk/1")
    with pytest.raises(ImageStoreLied, match="over the limit of 100 bytes"):
        Server(httpx.Response(200, content=big)).store(limits=small).bulk(PATH, "bulk/1")
    with pytest.raises(ImageStoreLied, match="over the limit of 100 bytes"):
        Server(httpx.Response(200, content=b"[" + b" " * 100 + b"]")).store(limits=small).studies(STUDY)


def test_a_server_that_finds_without_end_is_stopped() -> None:
    def endless(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        return httpx.Response(200, json=[instance_row(**{"00080018": f"1.2.{offset + n}"}) for n in range(5)])

    server = Server(endless)
    with pytest.raises(ImageStoreLied, match="more than 12 rows"):
        server.store(limits=Limits(rows=12, page=5)).instances(STUDY, SERIES)
    assert len(server.requests) == 3


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [instance_row(**{"00080018": f"1.2.{number}"}) for number in range(first, last)]


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        # the last page is short
        ([rows(0, 5), rows(5, 8)], 2),
        # or empty
        ([rows(0, 5), rows(5, 8), []], 2),
        # the server knows no paging, and gives everything at once, and again
        ([rows(0, 8), rows(0, 8)], 2),
        # pages overlap, as something was stored between them
        ([rows(0, 5), rows(4, 9)[:4]], 2),
    ],
)
def test_pages(answers: list[list[dict[str, Any]]], requests: int) -> None:
    server = Server(*(httpx.Response(200, json=page) for page in answers))
    found = server.store(limits=Limits(page=5)).instances(STUDY, SERIES)
    assert [row.path.instance for row in found] == [f"1.2.{number}" for number in range(8)]
    assert len(server.requests) == requests


def test_smaller_pages_than_asked_for_are_announced() -> None:
    warning = {"Warning": '299 pacs.test: "There are additional results that can be requested"'}
    pages = [httpx.Response(200, json=rows(n, n + 2), headers=warning) for n in (0, 2)]
    server = Server(*pages, httpx.Response(200, json=rows(4, 5)))
    assert len(server.store().instances(STUDY, SERIES)) == 5
    assert [request.url.params["offset"] for request in server.requests] == ["0", "2", "4"]


def test_compressed_answers_are_read() -> None:
    body = gzip.compress(b"[]")
    server = Server(httpx.Response(200, stream=httpx.ByteStream(body), headers={"Content-Encoding": "gzip"}))
    assert server.store().series(STUDY) == []
    plain = multipart(ct_slice(1))
    headers = {"Content-Encoding": "gzip", "Content-Type": plain.headers["Content-Type"]}
    server = Server(httpx.Response(200, stream=httpx.ByteStream(gzip.compress(plain.content)), headers=headers))
    assert server.store().instance(PATH) == ct_slice(1)


@pytest.mark.parametrize(
    ("coding", "body", "words"),
    [
        ("br", b"x", "compresses in a way"),
        ("deflate", zlib.compress(b"[]"), "compresses in a way"),
        ("gzip", b"[]", "cannot be decompressed"),
        ("gzip", gzip.compress(b"[" + b" " * 10_000 + b"]")[:-9], "ends too early"),
    ],
)
def test_what_cannot_be_decompressed_is_refused(coding: str, body: bytes, words: str) -> None:
    server = Server(httpx.Response(200, stream=httpx.ByteStream(body), headers={"Content-Encoding": coding}))
    with pytest.raises(ImageStoreLied, match=words):
        server.store().studies(STUDY)


def test_a_bomb_does_not_go_off() -> None:
    import tracemalloc

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    store = Server(
        lambda _: httpx.Response(
            200,
            stream=httpx.ByteStream(bomb),
            headers={"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"},
        )
    ).store(limits=Limits(part=1 << 20, json=1 << 20))
    tracemalloc.start()
    try:
        for ask in (lambda: store.studies(STUDY), lambda: store.bulk(PATH, "bulk/1")):
            with pytest.raises(ImageStoreLied, match="over the limit"):
                ask()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20 < len(bomb) * 1000


# --- storing -------------------------------------------------------------------------------------------------------


def response(stored: list[str] = [], failed: dict[str, int] = {}, warned: dict[str, int] = {}) -> dict[str, Any]:  # noqa: B006
    def item(uid: str, tag: str = "", reason: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
        return {**found, tag: {"vr": "US", "Value": [reason]}} if tag else found

    done = [item(uid, "00081196", warned[uid]) if uid in warned else item(uid) for uid in stored]
    return {
        "00081199": {"vr": "SQ", "Value": done},
        "00081198": {"vr": "SQ", "Value": [item(uid, "00081197", reason) for uid, reason in failed.items()]},
    }


ONE, TWO = f"{SERIES}.1", f"{SERIES}.2"


def test_a_request_to_store_as_the_standard_wants_it() -> None:
    server = Server(httpx.Response(200, json=response([ONE, TWO])))
    outcome = server.store().store([ct_slice(1), ct_slice(2)])
    assert outcome.stored == (ct_path(1), ct_path(2))
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", f"{ROOT}/studies")
    kind, _, boundary = request.headers["content-type"].partition("; boundary=")
    assert kind == 'multipart/related; type="application/dicom"'
    assert int(request.headers["content-length"]) == len(request.content)
    assert "transfer-encoding" not in request.headers
    parts = request.content.split(f"--{boundary}".encode())
    assert parts[1] == b"\r\nContent-Type: application/dicom\r\n\r\n" + ct_slice(1) + b"\r\n"
    assert parts[3] == b"--\r\n"


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_what_was_not_stored_is_said(status: int) -> None:
    server = Server(httpx.Response(status, json=response([ONE], {TWO: 0xA700})))
    outcome = server.store().store([ct_slice(1), ct_slice(2)])
    assert outcome.stored == (ct_path(1),)
    assert outcome.failed == (StoreFailure(ct_path(2), 0xA700),)
    with pytest.raises(ImagesNotStored, match=rf"1 of 2 .*instance {TWO}: A700H, out of resources") as caught:
        outcome.require_all()
    assert caught.value.outcome is outcome


def test_warnings_are_kept() -> None:
    server = Server(httpx.Response(202, json=response([ONE], warned={ONE: 0xB000})))
    assert server.store().store([ct_slice(1)]).require_all().warned == ((ONE, 0xB000),)


def test_what_is_not_mentioned_is_looked_for() -> None:
    there = httpx.Response(200, json=[instance_row()])
    server = Server(httpx.Response(200), there, httpx.Response(204))
    outcome = server.store().store([ct_slice(1), ct_slice(2)])
    assert outcome.stored == (ct_path(1),)
    assert outcome.failed == (StoreFailure(ct_path(2)),)
    assert [request.method for request in server.requests] == ["POST", "GET", "GET"]


@pytest.mark.parametrize("reason", [0x0111, 45070])
def test_what_was_there_before_is_compared(reason: int) -> None:
    refused = httpx.Response(409, json=response(failed={ONE: reason}))
    assert Server(refused, multipart(ct_slice(1))).store().store([ct_slice(1)]).stored == (ct_path(1),)
    other = Server(refused, multipart(ct_slice(1, BodyPartExamined="HEAD"))).store().store([ct_slice(1)])
    assert other.failed == (StoreFailure(ct_path(1), reason),)


def test_what_other_instances_an_answer_names_does_not_count() -> None:
    server = Server(httpx.Response(200, json=response([OTHER], {"1.2.9": 1})), httpx.Response(204))
    outcome = server.store().store([ct_slice(1)])
    assert (outcome.stored, outcome.failed) == ((), (StoreFailure(ct_path(1)),))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415])
def test_a_refusal_of_everything_is_an_error(status: int) -> None:
    with pytest.raises(ImageStoreRejected, match=f"storing 1 instances of study {STUDY}: .*{status}"):
        Server(httpx.Response(status, content=b"no")).store().store([ct_slice(1)])


def test_storing_is_tried_again_only_where_nothing_was_taken_up() -> None:
    done = httpx.Response(200, json=response([ONE]))
    for passing in (httpx.Response(503), httpx.Response(429), httpx.ConnectError(""), httpx.ConnectTimeout("")):
        server = Server(passing, done)
        assert server.store().store([ct_slice(1)]).stored
        assert server.requests[0].content.count(ct_slice(1)) == server.requests[-1].content.count(ct_slice(1)) == 1
    for unknown in (httpx.Response(500), httpx.Response(504), httpx.ReadTimeout(""), httpx.WriteError("")):
        server = Server(unknown, done)
        with pytest.raises(ImageStoreUnavailable):
            server.store().store([ct_slice(1)])
        assert len(server.requests) == 1


# --- tenants -------------------------------------------------------------------------------------------------------


def tenant(**more: Any) -> Tenant:
    data = {
        "name": "general",
        "fhir_base": "https://ehr.test/fhir",
        "auth": {"type": "bearer", "token": "secret-token"},
        "allowed_hosts": ["images.test"],
        "dicomweb_root": ROOT,
        "subscriptions": {},
    }
    return Tenant.from_dict({key: value for key, value in {**data, **more}.items() if value is not None})


@pytest.mark.parametrize(
    ("root", "token"),
    [
        (None, True),
        (ROOT + "/", True),
        ("https://ehr.test/dicom-web", True),
        ("https://images.test/dicom-web", False),
        ("https://pacs.test/another", False),
    ],
)
def test_the_token_goes_where_the_tenant_says_only(root: str | None, token: bool) -> None:
    server = Server(httpx.Response(204))
    store = WebImageStore.for_tenant(tenant(), root=root, transport=httpx.MockTransport(server))
    assert store.studies(STUDY) == []
    assert ("authorization" in server.requests[0].headers) is token


@pytest.mark.parametrize(
    "root", ["https://elsewhere.test/dicom-web", "http://pacs.test/dicom-web", "nonsense", "https://["]
)
def test_a_root_elsewhere_is_refused(root: str) -> None:
    with pytest.raises(EgressRefused):
        WebImageStore.for_tenant(tenant(), root=root)


def test_redirects_meet_the_guard() -> None:
    server = Server(httpx.Response(302, headers={"location": "https://elsewhere.test/"}))
    with pytest.raises(EgressRefused):
        WebImageStore.for_tenant(tenant(), transport=httpx.MockTransport(server)).studies(STUDY)


def test_a_tenant_without_images_or_keys() -> None:
    with pytest.raises(ConfigurationError, match="no dicomweb_root"):
        WebImageStore.for_tenant(tenant(dicomweb_root=None))
    scopes = {"type": "backend-services", "client_id": "c", "scopes": "system/*.rs", "alg": "ES384", "key": "k"}
    with pytest.raises(ConfigurationError, match="key store"):
        WebImageStore.for_tenant(tenant(auth=scopes))


def test_nothing_of_a_study_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = Server(httpx.Response(500)).store()
    for ask in ask_all(store):
        with pytest.raises(ImageStoreError):
            ask()
    assert STUDY not in caplog.text
