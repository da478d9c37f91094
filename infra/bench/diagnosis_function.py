"""What the diagnosis function needs: memory and time of the demo's inputs, of a large film, and at the limits.

``template.yaml`` sets both from these numbers. What lies at the limits takes minutes to make and to read, so it is not
part of a run of all benchmarks: ``python -m infra.bench.diagnosis_function limits``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.bench.diagnosis_cold import answered, prepared
from infra.bench.processes import REPOSITORY, child, memory_mb, reported

__all__ = ["at_limits", "measure"]

CHILD = {"gender": "male", "birthDate": "2022-06-15"}
ADULT = {"gender": "female", "birthDate": "1971-01-23"}
FILM, ECG = "cxr-pneumonia-paediatric", "ecg"
LARGE, USUAL = 4096, 2048


def measure() -> dict[str, Any]:
    """Answer one event in a process of its own for each input.

    Returns
    -------
    dict
        ``memory_mb`` and ``timeout_s`` as ``template.yaml`` has them; and for each input ``peak_mb`` (largest resident
        set), ``ready_mb`` (the same before the event), ``answer_s`` (of the event alone), ``cpu_s`` (the processor's
        time for it) and ``outcome`` (what was written: a finding, or the reason of an abstention).
    """
    return {**_configured(), **{name: _asked(*case) for name, case in _cases()}}


def at_limits() -> Iterator[tuple[str, dict[str, Any]]]:
    """Do the same for films of as many bytes as a frame may have, by encoding; each takes minutes."""
    for name, case in _largest():
        yield name, _asked(*case)


Case = tuple[list[bytes], dict[str, str], str]


def _cases() -> Iterator[tuple[str, Case]]:
    from pydicom import uid

    from infra.bench.pixels import film
    from infra.local.studies import electrocardiogram

    yield "electrocardiogram", ([electrocardiogram()], ADULT, ECG)
    for name, syntax in (("uncompressed", uid.ExplicitVRLittleEndian), ("jpeg_2000", uid.JPEG2000Lossless)):
        yield f"film_{LARGE}_{name}", ([film(syntax, LARGE, **_OF_A_CHILD)], CHILD, FILM)
    four = [film(uid.ExplicitVRLittleEndian, USUAL, number, **_OF_A_CHILD) for number in range(1, 5)]
    yield f"four_films_{USUAL}_uncompressed", (four, CHILD, FILM)


_OF_A_CHILD: dict[str, Any] = {
    "PatientAge": "003Y",
    "PatientSex": "M",
    "BodyPartExamined": "CHEST",
    "ViewPosition": "PA",
    "PresentationIntentType": "FOR PRESENTATION",
    "BurnedInAnnotation": "NO",
    "StudyDate": "20260110",
    "StudyTime": "081500",
}


def _asked(files: list[bytes], patient: dict[str, str], model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        prepared(Path(place), files, **patient)
        found = child("infra.bench.diagnosis_function", place, model)
    return {name: found[name] for name in ("peak_mb", "ready_mb", "answer_s", "cpu_s", "outcome")}


def _configured() -> dict[str, int]:
    function = (REPOSITORY / "template.yaml").read_text(encoding="utf-8").partition("\n  DiagnosisFunction:\n")[2]
    memory, seconds = (
        re.search(rf"^      {name}: (\d+)$", function, re.MULTILINE) for name in ("MemorySize", "Timeout")
    )
    assert memory
    assert seconds
    return {"memory_mb": int(memory[1]), "timeout_s": int(seconds[1])}


# --- films at the limits -------------------------------------------------------------------------------------------


def _largest() -> Iterator[tuple[str, Case]]:
    """Frames of ``Limits.frame_bytes``: with 8 bits they have twice as many pixels as with 16."""
    import numpy as np
    from pydicom import uid

    from fhir_adapter.dicomfile import Limits

    for bits in (8, 16):
        columns = 16384
        rows = Limits().frame_bytes * 8 // bits // columns
        block = np.random.default_rng(0).integers(0, 1 << bits // 2, (BLOCK, columns)).astype(f"u{bits // 8}")
        yield f"uncompressed_{bits}", ([_film(np.tile(block, (rows // BLOCK, 1)), bits)], CHILD, FILM)
        coded = _lossless_jpeg(block, bits, rows)
        shaped = np.broadcast_to(block[:1, :1], (rows, columns))
        yield f"jpeg_lossless_{bits}", ([_film(shaped, bits, uid.JPEGLosslessSV1, coded)], CHILD, FILM)
        yield (
            f"jpeg_2000_{bits}",
            ([_film(np.tile(block, (rows // BLOCK, 1)), bits, uid.JPEG2000Lossless)], CHILD, FILM),
        )


# Rows of noise that are repeated.
BLOCK = 64


def _film(pixels: Any, bits: int, syntax: str | None = None, coded: bytes = b"") -> bytes:
    from io import BytesIO

    from openjpeg.utils import encode_array
    from pydicom import dcmread, dcmwrite, uid
    from pydicom.encaps import encapsulate

    from infra.bench.pixels import film

    dataset = dcmread(BytesIO(film(uid.ExplicitVRLittleEndian, 8, **_OF_A_CHILD)))
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    if syntax is None:
        dataset.PixelData = pixels.tobytes()
    else:
        grey: Any = 2
        made = coded or bytes(encode_array(pixels, bits_stored=bits, photometric_interpretation=grey))
        dataset.PixelData = encapsulate([made])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _lossless_jpeg(block: Any, bits: int, rows: int) -> bytes:
    """Encode a block of rows again and again, without restarts (ITU-T T.81, annex H; predictor 1, one code length).

    The block begins and ends with the first prediction, so that each of its copies is coded in the same bits.
    """
    import struct

    import numpy as np

    start = 1 << bits - 1
    block = block.astype(np.int32)
    block[0, 0] = block[-1, 0] = start
    different = np.diff(block, axis=1, prepend=np.concatenate([[start], block[:-1, 0]])[:, None])
    size = np.ceil(np.log2(np.abs(different) + 1)).astype(np.uint32)
    value = np.where(different < 0, different + (1 << size.astype(np.int32)) - 1, different).astype(np.uint64)
    length = (5 + size).reshape(-1)
    word = ((size.astype(np.uint64) << size.astype(np.uint64)) | value).reshape(-1)
    number = np.repeat(np.arange(len(length)), length)
    within = np.arange(len(number)) - np.repeat(np.cumsum(length) - length, length)
    bit = (word[number] >> (length[number] - 1 - within).astype(np.uint64) & np.uint64(1)).astype(np.uint8)
    body = np.packbits(np.tile(bit, 8)).tobytes() * (rows // len(block) // 8)
    # seventeen categories in codes of five bits
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    head = b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB", 11, bits, rows, block.shape[1], 1) + bytes([1, 0x11, 0])
    head += b"\xff\xc4" + struct.pack(">H", 2 + len(table)) + table
    head += b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([1, 0, 1, 0, 0])
    return head + body.replace(b"\xff", b"\xff\x00") + b"\xff\xd9"


# --- what the process runs -----------------------------------------------------------------------------------------


def _answer(folder: Path, model: str) -> None:
    from functions.diagnosis.app import handler

    ready, began, used = memory_mb(), time.monotonic(), time.process_time()
    written = answered(folder, handler.models, model)
    found = next(one for one in written if one["resourceType"] == "Observation")
    reason = found.get("dataAbsentReason", {}).get("coding", [])
    reported(
        ready_mb=round(ready, 1),
        peak_mb=round(memory_mb(), 1),
        answer_s=round(time.monotonic() - began, 2),
        cpu_s=round(time.process_time() - used, 2),
        outcome=reason[-1]["code"] if reason else "finding",
    )


if __name__ == "__main__":
    if sys.argv[1] == "limits":
        for name, found in at_limits():
            print(json.dumps({name: found}), flush=True)
    else:
        _answer(Path(sys.argv[1]), sys.argv[2])
