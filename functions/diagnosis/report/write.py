"""An evaluation and its files, from start to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fhir_adapter.dicomweb import ImageStore
from functions.diagnosis.data import DATASETS
from functions.diagnosis.evaluate import evaluate
from functions.diagnosis.report.card import render_card
from functions.diagnosis.report.page import render_page
from functions.diagnosis.train import PACKAGES, read_contract

__all__ = ["write_report"]


def write_report(
    name: str,
    out: Path | None = None,
    *,
    store: ImageStore | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Evaluate a package and write ``evaluation.json``, ``report.html`` and ``card.md``.

    Parameters
    ----------
    name : str
        The package.
    out : Path, optional
        Where to write; the package's own folder when absent.
    store : ImageStore, optional
        Where test images go as DICOM files and are read back from, to be measured on that way, too.
    progress : callable
        Called with a line now and then.

    Returns
    -------
    dict
        The evaluation.

    Raises
    ------
    NotEvaluated, DataAbsent, ValueError, ImageStoreError
        As :func:`functions.diagnosis.evaluate.evaluate` does.
    """
    found = evaluate(name, store=store, progress=progress)
    contract, dataset, directory = read_contract(PACKAGES / name), DATASETS[name], out or PACKAGES / name
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in (
        ("evaluation.json", json.dumps(found, indent=1, allow_nan=False) + "\n"),
        ("report.html", render_page(found, contract, dataset)),
        ("card.md", render_card(found, contract, dataset)),
    ):
        (directory / file).write_text(text, encoding="utf-8")
        progress(f"wrote {directory / file}")
    return found
