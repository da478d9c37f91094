"""The EHR is out of reach for ten minutes, every hook is lost, 200 things change: all are scored, none twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from fhir_adapter.errors import FhirUnavailable
from tests.functional.test_reconcile import Ward
from tests.samples import admission

CHANGES = 200
OUTAGE = timedelta(minutes=10)


def admit(ward: Ward, number: int) -> None:
    """A whole admission of a patient of their own."""
    for resource in admission():
        own: dict[str, Any] = {**resource, "id": f"{resource['id']}-{number}"}
        if "subject" in own:
            own["subject"] = {"reference": f"Patient/p1-{number}"}
        ward.ehr.put(own)


@pytest.mark.conformance("C05", "C10", "D04")
def test_ten_minutes_without_the_ehr_lose_nothing() -> None:
    ward = Ward()
    ward.subscribe()
    admit(ward, 0)
    assert ward.reconcile().swept == 1  # before the outage all is well
    ward.work()
    began = ward.clock()

    ward.ehr.down = True
    for number in range(1, CHANGES + 1):
        admit(ward, number)  # the wards go on; nobody is told
        ward.clock.forward(seconds=OUTAGE.total_seconds() / CHANGES)
        if number % 50 == 0:
            with pytest.raises(FhirUnavailable):
                ward.reconcile()
    ward.subscribe("error")  # deliveries failed, so the EHR gave the subscription up
    assert ward.clock() - began == OUTAGE
    ward.ehr.down = False

    report = ward.reconcile()
    assert report.repaired
    assert report.swept >= CHANGES
    outcomes = Counter(outcome.outcome for outcome in ward.work())
    assert outcomes["predicted"] == CHANGES
    ward.clock.forward(minutes=15)
    again = ward.reconcile()
    assert (again.unanswered, again.doubled, again.withdrawn, again.status) == (0, 0, 0, "active")
    assert set(Counter(outcome.outcome for outcome in ward.work())) <= {"duplicate"}

    scored = Counter(item["encounter"]["reference"] for item in ward.ehr.of_type("RiskAssessment"))
    assert set(scored) == {f"Encounter/e1-{number}" for number in range(CHANGES + 1)}
    assert set(scored.values()) == {1}
    assert {item["meta"]["versionId"] for item in ward.ehr.of_type("RiskAssessment")} == {"1"}
