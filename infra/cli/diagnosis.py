"""Training and evaluating the diagnosis packages, for `bedside train` and `bedside evaluate`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fhir_adapter.dicomweb import DirectoryImageStore, ImageStore, ImageStoreError, WebImageStore
from functions import diagnosis
from infra.cli.saying import not_installed, say

__all__ = ["evaluate", "names", "train"]

PACKAGES = Path(diagnosis.__file__).parent / "packages"
VARIABLE = "BEDSIDE_DICOMWEB_TOKEN"


def names() -> list[str]:
    """Return the names of the diagnosis packages."""
    return sorted(folder.name for folder in PACKAGES.iterdir() if (folder / "model.yaml").is_file())


def train(args: argparse.Namespace) -> int:
    """Train or fetch a package; returns the exit status as `bedside train` does."""
    if args.source is not None:
        say("--from reads survival models only: a diagnosis model is trained from its own data")
        return 2
    try:
        from functions.diagnosis.train import train as fit

        done = fit(args.name, args.out, progress=say)
        if args.report:
            _write(args.name, args.out)
    except ImportError as missing:
        return not_installed(missing)
    except (OSError, ValueError) as refused:
        say(f"cannot train {args.name}: {refused}")
        return 1
    found = {
        "name": args.name,
        "directory": str(done.directory),
        "sha256": done.sha256,
        "bytes": done.size,
        "performance": done.performance,
    }
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"wrote {done.directory / 'model.onnx'}, {done.size / 1000:.0f} kB, sha256 {done.sha256}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate a package; returns the exit status as `bedside evaluate` does."""
    try:
        with _images(args.through_dicom) as store:
            found = _write(args.name, args.out, store)
    except ImportError as missing:
        return not_installed(missing)
    except (OSError, ValueError, ImageStoreError) as refused:
        say(f"cannot evaluate {args.name}: {refused}")
        return 1
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    area = found["auroc"]
    print(f"wrote evaluation.json, report.html and card.md to {args.out or PACKAGES / args.name}")
    print(f"  AUROC: {area['value']:.4f} ({area['low']:.4f} to {area['high']:.4f})")
    if "through_dicom" in found:
        from functions.diagnosis.report.notes import dicom_note

        print(f"  {dicom_note(found)}")
    return 0


@contextmanager
def _images(where: str | None) -> Iterator[ImageStore | None]:
    """Open the store that test images go through, if they are to."""
    if where is None:
        yield None
    elif where.startswith(("http://", "https://")):
        with WebImageStore(where, os.environ.get(VARIABLE)) as archive:
            yield archive
    elif where:
        yield DirectoryImageStore(Path(where))
    else:
        with TemporaryDirectory() as folder:
            yield DirectoryImageStore(Path(folder))


def _write(name: str, out: Path | None, store: ImageStore | None = None) -> dict[str, Any]:
    from functions.diagnosis.report import write_report

    return write_report(name, out, store=store, progress=say)
