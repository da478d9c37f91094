"""All 500 real patients of WHAS500 through the whole road, and the C-index computed from what the EHR then holds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fhir_adapter.codes import MODEL_TAG
from fhir_adapter.evidence import horizon_days
from functions.survival.data import WHAS500, FloatArray, SurvivalTable
from tests.peering import require_peer

if TYPE_CHECKING:
    from infra.local.twin import Twin

pytestmark = pytest.mark.peer("scikit-survival")

ADMITTED = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def offline_risk(table: SurvivalTable, days: float) -> FloatArray:
    """One-year risk by scikit-survival's own model: its fit, its baseline, its survival function."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    from functions.survival.export import read_cox
    from functions.survival.train import PACKAGES

    alpha = read_cox((PACKAGES / "whas500" / "model.onnx").read_bytes())[0].alpha
    model = make_pipeline(StandardScaler(), CoxPHSurvivalAnalysis(alpha=alpha))
    model.fit(table.x, Surv.from_arrays(table.event, table.time))
    curves = model.predict_survival_function(table.x)
    return np.array([1.0 - curve(days) for curve in curves])


def admit_everyone(twin: Twin, table: SurvivalTable) -> None:
    from infra.local.bundles import patient_bundle

    for row in range(len(table)):
        values = dict(zip(table.names, table.x[row].tolist(), strict=True))
        twin.post_bundle(patient_bundle(values, f"whas-{row:03d}", ADMITTED + timedelta(minutes=row)))


def risks_on_record(twin: Twin, days: float) -> dict[int, float]:
    """Return the risk at a horizon in each RiskAssessment of the EHR, by row."""
    found: dict[int, float] = {}
    url: str | None = f"RiskAssessment?_tag={MODEL_TAG}|whas500&_count=200"
    while url:
        bundle: dict[str, Any] = twin.fhir.get(url).json()
        for entry in bundle.get("entry", []):
            resource = entry["resource"]
            row = int(resource["subject"]["reference"].removeprefix("Patient/whas-"))
            assert row not in found, "one result for each patient"
            (risk,) = [item for item in resource["prediction"] if horizon_days(item) == days]
            found[row] = risk["probabilityDecimal"] / 100
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found


def test_the_c_index_from_the_ehr_equals_the_offline_one(tmp_path: Path) -> None:
    require_peer("scikit-survival", "sksurv")
    require_peer("sekmet-fhir", module="sekmet")
    from sksurv.metrics import concordance_index_censored

    from infra.local.twin import Twin

    table = WHAS500.load()
    with Twin(tmp_path) as twin:
        twin.register_subscription()
        admit_everyone(twin, table)
        if not twin.drain(timeout=240, expected=len(table)):
            twin.ping()  # a hook that never came: the sweep finds its admission
            assert twin.drain(timeout=120, expected=len(table) + 1)
        outcomes = Counter(entry["outcome"] for entry in twin.ledger())
        assert outcomes["predicted"] == len(table), outcomes
        assert twin.dead_letters() == []
        on_record = risks_on_record(twin, 365)
    assert sorted(on_record) == list(range(len(table)))
    online = np.array([on_record[row] for row in range(len(table))])
    offline = offline_risk(table, 365)
    assert np.abs(online - offline).max() < 1e-6
    c_online = concordance_index_censored(table.event, table.time, online)[0]
    c_offline = concordance_index_censored(table.event, table.time, offline)[0]
    assert c_online == c_offline
