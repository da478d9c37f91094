"""How fast one patient's curve from gradient boosting is: the file against the library that trained it."""

from __future__ import annotations

from typing import Any

from functions.survival.data import load_whas500
from functions.survival.export import export_model
from functions.survival.models import Wrapped
from infra.bench.interleaved import against_scikit_survival, outcome

__all__ = ["measure"]


def measure(rounds: int = 400) -> dict[str, Any]:
    """Time single-row prediction of both: imputation, 100 boosted trees, curve at all of training's times.

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
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    table = load_whas500()
    model = GradientBoostingSurvivalAnalysis(n_estimators=100, subsample=0.5, random_state=0)
    pipeline = make_pipeline(SimpleImputer(strategy="median"), model)
    fitted = Wrapped(table.names, pipeline.fit(table.x, outcome(table.event, table.time)))
    times = model.unique_times_
    exported = export_model(fitted, name="whas500", version="1.0.0", times=times, sample=table.x)
    found = against_scikit_survival(fitted, exported, table.x, rounds)
    return found | {"file_kb": round(len(exported.content) / 1024, 1)}
