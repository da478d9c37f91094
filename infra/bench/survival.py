"""How fast one patient's curve from a Cox model is: the file against the library that trained it, in the same run."""

from __future__ import annotations

from typing import Any

from functions.survival.data import load_whas500
from functions.survival.export import Exported, export_model
from functions.survival.models import Wrapped
from infra.bench.interleaved import against_scikit_survival, outcome

__all__ = ["cox", "measure"]


def measure(rounds: int = 400) -> dict[str, Any]:
    """Time single-row prediction of both: imputation, scaling, Cox model, curve at all of training's times.

    Parameters
    ----------
    rounds : int
        Predictions of each; patients in turn.

    Returns
    -------
    dict
        As :func:`infra.bench.interleaved.against_scikit_survival`, with ``file_kb``.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    fitted, exported = cox()
    found = against_scikit_survival(fitted, exported, load_whas500().x, rounds)
    return found | {"file_kb": round(len(exported.content) / 1024, 1)}


def cox() -> tuple[Wrapped, Exported]:
    """Return the library's pipeline fitted to WHAS500, and its file on all of training's times."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    table = load_whas500()
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), CoxPHSurvivalAnalysis(alpha=1.0))
    fitted = Wrapped(table.names, pipeline.fit(table.x, outcome(table.event, table.time)))
    times = pipeline[-1].unique_times_
    return fitted, export_model(fitted, name="whas500", version="1.0.0", times=times, sample=table.x)
