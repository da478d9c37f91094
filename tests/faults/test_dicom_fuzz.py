"""A thousand damaged DICOM files: each is accepted or ends in a named error, in bounded memory.

They are read in a process of their own, for a decoder that crashes takes its process along.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not here (make setup-test)")

from fhir_adapter.dicomfile import DicomError, read_dicom
from fhir_adapter.pixels import ImageGate, PixelSpec, picture
from fhir_adapter.waveforms import WaveformGate, WaveformSpec, measurements, recording
from tests.dicoms import BUNDLED

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "dicom-fuzz.md"
FILES = 1000
# One of each encoding, small enough to be damaged often.
BASES = (
    "CT_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEGLSNearLossless_08.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_palette.dcm",
    "image_dfl.dcm",
    "rtdose_rle.dcm",
    "reportsi.dcm",
    "nested_priv_SQ.dcm",
    "waveform_ecg.dcm",
)


def damaged(seed: int) -> tuple[str, bytes]:
    """One damaged file: the same in every run."""
    rng = np.random.default_rng(seed)
    name = BASES[seed % len(BASES)]
    data = bytearray((BUNDLED / name).read_bytes())
    # half of the damage goes where the descriptions are
    reach = len(data) if seed % 2 else min(len(data), 3000)
    at = int(rng.integers(128, reach))
    kind = int(rng.integers(0, 6))
    if kind == 0:
        del data[at:]
    elif kind == 1:
        del data[at : at + int(rng.integers(1, 40))]
    elif kind == 2:
        data[at:at] = rng.integers(0, 256, int(rng.integers(1, 40)), np.uint8).tobytes()
    elif kind == 3:
        data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\0\xe0"])
    elif kind == 4:
        begin = int(rng.integers(128, reach))
        data[at : at + 64] = data[begin : begin + 64]
    else:
        for place in rng.integers(128, reach, int(rng.integers(1, 20))):
            data[place] = int(rng.integers(0, 256))
    return name, bytes(data)


def outcomes(count: int) -> Iterator[tuple[str, str]]:
    """Read `count` damaged files as a function would; anything but a named error is one of the program."""
    spec, lead = PixelSpec(size=(32, 32), channels=3), WaveformSpec(sampling_frequency=250, seconds=5)
    for seed in range(count):
        name, data = damaged(seed)
        try:
            dataset = read_dicom(data)
            ImageGate(min_age=1).check(dataset)
            measurements(dataset)
            if "WaveformSequence" in dataset:
                recording(dataset, lead, WaveformGate(min_age=1))
            if "PixelData" in dataset:
                tensor = picture(dataset, spec).tensor
                assert tensor.shape == (3, 32, 32), name
                assert np.isfinite(tensor).all(), name
        except DicomError as error:
            yield name, str(error.reason)
        else:
            yield name, "accepted"


def main() -> None:
    """Print how the files ended, and what memory that took at its peak, in kilobytes."""
    import resource
    import warnings

    # as in the test's own process: nothing may warn either
    warnings.simplefilter("error")
    list(outcomes(len(BASES)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counted = Counter(outcomes(FILES))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    grown //= 1024 if sys.platform == "darwin" else 1
    rows = [[name, ended, number] for (name, ended), number in sorted(counted.items())]
    sys.stdout.write(json.dumps({"rows": rows, "grown_kb": grown}))


def written(rows: list[list[Any]], grown_kb: int) -> str:
    """The table for a person."""
    ends = ["accepted", *sorted({ended for _, ended, _ in rows} - {"accepted"})]
    counted = {(name, ended): number for name, ended, number in rows}
    lines = [
        f"# {FILES} damaged DICOM files through the reader",
        "",
        f"None crashed; the process grew by {grown_kb / 1000:.0f} MB. Accepted is damage that no reader can see, such "
        "as another grey value.",
        "",
        f"| made from | {' | '.join(ends)} |",
        f"| --- |{' ---: |' * len(ends)}",
    ]
    for name in BASES:
        lines.append(f"| {name} | {' | '.join(str(counted.get((name, ended), 0)) for ended in ends)} |")
    return "\n".join(lines) + "\n"


@pytest.mark.conformance("I06")
def test_a_thousand_damaged_files() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from tests.faults.test_dicom_fuzz import main; main()"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(written(found["rows"], found["grown_kb"]), encoding="utf-8")
    counted: Counter[str] = Counter()
    for _, ended, number in found["rows"]:
        counted[ended] += number
    assert counted.total() == FILES
    assert set(counted) <= {"accepted", "not-dicom", "too-large", "damaged", "unsupported"}
    assert counted["damaged"] > 100
    assert counted["accepted"] > 100
    assert found["grown_kb"] < 200 * 1024
