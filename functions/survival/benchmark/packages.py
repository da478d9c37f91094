"""Every shipped package trained anew, and set beside the one that ships."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from functions.survival.evaluate.heldout import Plan
from functions.survival.train import packages, read_contract, train

__all__ = ["rebuild"]

_SHOWN = ("harrell_c", "uno_c", "integrated_brier_score", "integrated_brier_score_reference", "d_calibration")


def rebuild(name: str, *, quick: bool = False, progress: Callable[[str], None] = lambda _line: None) -> dict[str, Any]:
    """Train a package in a folder of its own, and compare the digest of the model file with the shipped one's.

    Parameters
    ----------
    name : str
        A folder of ``packages``.
    quick : bool
        With few folds; what is chosen may then differ from what ships, so digests are not compared.
    progress : callable
        Called with a line now and then.

    Returns
    -------
    dict
        ``shipped_sha256``, ``rebuilt_sha256``, ``same`` (None where not compared), ``chosen``, ``bytes`` and the
        held-out metrics.
    """
    shipped = str(read_contract(packages()[name]).get("sha256", ""))
    plan = Plan(folds=2, repeats=1, inner_folds=2, replicates=10) if quick else None
    with tempfile.TemporaryDirectory() as folder:
        done = train(name, Path(folder), plan=plan, progress=lambda line: progress(f"package {name}: {line}"))
    return {
        "shipped_sha256": shipped,
        "rebuilt_sha256": done.sha256,
        "same": None if quick else done.sha256 == shipped,
        "chosen": done.decision["chosen"],
        "bytes": done.size,
        "performance": {key: done.performance[key] for key in _SHOWN if key in done.performance},
    }
