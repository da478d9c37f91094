"""A CT series from an image server to its user: fetched by us, and one request after the other."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from fhir_adapter.dicomweb import InstancePath, WebImageStore, fetch
from infra.local.pacs import OrthancPacs

__all__ = ["measure"]

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.9.1", "1.2.826.0.1.3680043.8.498.9.2"
SIZE = 512
WORKERS = 6
# A round trip inside a hospital, or from a function to a store in the same region.
LATENCY_MS = 5.0
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def measure(slices: int = 500, rounds: int = 3) -> dict[str, Any]:
    """Fetch a series of 512 x 512 slices of 16 bits, with our store and the plain way, each in a fresh process.

    The plain way is `requests`: instance after instance, each answer read whole and split at its boundary, all of
    them kept. Both end with the same bytes in the same order, which is checked. The server is a process of its own:
    Orthanc where it is installed; and a small one that takes a round trip of `LATENCY_MS` for every request, which a
    loopback does not.

    Returns
    -------
    dict
        By server: ``ours_s`` and ``plain_s`` (medians), ``time_ratio`` (ours to plain, less is better),
        ``ours_peak_mb`` and ``plain_peak_mb`` (growth of the process from before the first request) and
        ``memory_ratio``; and what was fetched.
    """
    found: dict[str, Any] = {"slices": slices, "rounds": rounds, "workers": WORKERS}
    with tempfile.TemporaryDirectory() as folder:
        if OrthancPacs.problem() is None:
            pacs = OrthancPacs(Path(folder) / "orthanc")
            pacs.start()
            try:
                with WebImageStore(pacs.root, pacs.token) as store:
                    store.store(_series(slices)).require_all()
                found["orthanc"] = _compared(pacs.root, pacs.token, slices, rounds)
            finally:
                pacs.stop()
        images = Path(folder) / "folder" / "images"
        images.mkdir(parents=True)
        for number, data in enumerate(_series(slices), 1):
            (images / f"{number:04d}.dcm").write_bytes(data)
        with _served(images.parent) as (root, token):
            found["at_5_ms"] = _compared(root, token, slices, rounds)
    found["instance_kb"] = round(len(_slice(1)) / 1024)
    return found


def _compared(root: str, token: str, slices: int, rounds: int) -> dict[str, float]:
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    for _ in range(rounds):
        for way, results in runs.items():
            results.append(_child(way, root, token, str(slices)))
    checks = {result["check"] for results in runs.values() for result in results}
    assert len(checks) == 1, "the ways do not end with the same bytes"
    ours, plain = (
        {key: median(result[key] for result in results) for key in ("seconds", "peak_mb")} for results in runs.values()
    )
    return {
        "ours_s": round(ours["seconds"], 3),
        "plain_s": round(plain["seconds"], 3),
        "time_ratio": round(ours["seconds"] / plain["seconds"], 3),
        "ours_peak_mb": round(ours["peak_mb"], 1),
        "plain_peak_mb": round(plain["peak_mb"], 1),
        "memory_ratio": round(ours["peak_mb"] / plain["peak_mb"], 3),
    }


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "infra.bench.dicomweb", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)  # noqa: S603
    result: dict[str, float] = json.loads(run.stdout)
    return result


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a folder from a process of its own until the end of the block."""
    command = [sys.executable, "-m", "infra.bench.dicomweb", "serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            root, token = server.stdout.readline().split()
            yield root, token
        finally:
            server.stdin.close()
            server.wait(timeout=60)


# --- what the processes run ----------------------------------------------------------------------------------------


def _paths(slices: int) -> list[InstancePath]:
    return [InstancePath(STUDY, SERIES, f"{SERIES}.{number}") for number in range(1, slices + 1)]


def _ours(root: str, token: str, slices: int) -> int:
    check = 0
    with WebImageStore(root, token) as store:
        for _, data in fetch(store, _paths(slices), workers=WORKERS):
            check = zlib.crc32(data, check)
    return check


def _plain(root: str, token: str, slices: int) -> int:
    import requests

    kept = []
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"Authorization": f"Bearer {token}", "Accept": ACCEPT})
        # What requests asks for by itself has Orthanc compress every slice, which takes it 25 times as long.
        session.headers["Accept-Encoding"] = "identity"
        for path in _paths(slices):
            response = session.get(f"{root}/{path.resource}", timeout=60)
            response.raise_for_status()
            boundary = response.headers["Content-Type"].partition("boundary=")[2].encode()
            part = response.content.split(b"--" + boundary)[1]
            kept.append(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))
    check = 0
    for data in kept:
        check = zlib.crc32(data, check)
    return check


def _timed(way: str, root: str, token: str, slices: int) -> dict[str, float]:
    run = {"ours": _ours, "plain": _plain}[way]
    run(root, token, 1)  # imports
    before, started = _peak_mb(), time.perf_counter()
    check = run(root, token, slices)
    return {"seconds": time.perf_counter() - started, "peak_mb": max(_peak_mb() - before, 0.1), "check": check}


def _peak_mb() -> float:
    """Peak of this process; Linux's ru_maxrss is no use, as it keeps that of whoever started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)


def _serve(folder: Path) -> None:
    """Serve a folder, every request a round trip late, until the standard input ends."""
    import asyncio

    from starlette.types import ASGIApp, Receive, Scope, Send

    from fhir_adapter.dicomweb import DirectoryImageStore
    from infra.local.pacs.dicomweb import DicomwebApp
    from infra.local.server import ThreadedServer, bind

    def late(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(LATENCY_MS / 1000)
            await app(scope, receive, send)

        return answer

    app = DicomwebApp(DirectoryImageStore(folder / "images"), "bench").app
    server = ThreadedServer(late(app), bind())
    server.start()
    print(f"{server.url}/dicom-web", "bench", flush=True)
    sys.stdin.read()
    server.stop()


def _series(slices: int) -> Iterator[bytes]:
    return map(_slice, range(1, slices + 1))


def _slice(number: int) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"{SERIES}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 1, number
    dataset.PatientID = dataset.PatientName = "BENCH"
    dataset.Rows = dataset.Columns = SIZE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    noise = np.random.default_rng(number).integers(-1024, 3072, (SIZE, SIZE), dtype=np.int16)
    dataset.add_new(0x7FE00010, "OW", noise.tobytes())
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if sys.argv[1] == "serve":
        _serve(Path(sys.argv[2]))
    else:
        print(json.dumps(_timed(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
