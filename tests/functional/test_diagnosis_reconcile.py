"""Reconciling results of diagnosis models: what they are about is held against the record, whatever type it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.dicomweb import DirectoryImageStore
from fhir_adapter.tenants import Tenant
from functions.diagnosis.predict import load_models
from functions.reconcile.reconcile import Reconciler, Report
from functions.serving.cloud import MemoryLedger, MemoryQueue, PassedOver
from functions.serving.imaging import Images, MemoryStudies
from functions.serving.marks import MemoryMarks
from functions.serving.package import Model
from functions.serving.worker import Outcome, answer_event
from tests.diagnoses import PACKAGES, child, film, package, study, tenant_json, thyroid_report, thyroid_values
from tests.fakes import BASE
from tests.samples import encounter, patient
from tests.strict_ehr import Clock, StrictEhr


class Clinic:
    """One model, its EHR and image store, and a clock."""

    def __init__(self, model: Model, criteria: str, folder: Path) -> None:
        self.model = model
        self.clock = Clock()
        self.ehr = StrictEhr(clock=self.clock)
        self.client = FhirClient(BASE, transport=self.ehr.transport, retry=RetryPolicy(attempts=1))
        self.tenant = Tenant.from_dict(tenant_json([model.package.identity.name], criteria))
        self.queue, self.ledger = MemoryQueue(), MemoryLedger()
        self.store = DirectoryImageStore(folder)
        self.images = Images(lambda _tenant, _root: self.store, MemoryStudies(), self.clock)

    def reconcile(self) -> Report:
        self.clock.forward(minutes=20)
        (report,) = Reconciler(self.tenant, self.client, self.queue, self.ledger, MemoryMarks(), self.clock()).run()
        return report

    def work(self) -> list[Outcome]:
        events, self.queue.events = self.queue.events, []
        found = []
        for event in events:
            outcome = answer_event(event, self.tenant, self.client, self.model, images=self.images)
            if outcome.focus_version and event.focus:
                name = self.model.package.identity.name
                self.ledger.pass_over(PassedOver("general", name, event.focus, outcome.focus_version))
            found.append(outcome)
        # what was swept is not swept again, and only what has no result is asked for
        self.ledger.advance("general", "studies", "2027-01-01T00:00:00.000000+00:00")
        return found


@pytest.fixture
def film_clinic(tmp_path: Path) -> Clinic:
    package(tmp_path / "packages")
    model = load_models(tmp_path / "packages")["brightness"]
    made = Clinic(model, "ImagingStudy?patient=p1", tmp_path / "images")
    made.ehr.put(child())
    made.ehr.put(encounter())
    made.store.store([film()])
    made.ehr.put(study(made.store, encounter={"reference": "Encounter/e1"}))
    return made


def test_a_missed_study_is_found_and_answered_once(film_clinic: Clinic) -> None:
    assert film_clinic.reconcile().swept == 1
    assert [outcome.outcome for outcome in film_clinic.work()] == ["predicted"]
    report = film_clinic.reconcile()
    assert (report.unanswered, report.doubled, report.withdrawn) == (0, 0, 0), "its encounter is not what it is about"
    assert film_clinic.queue.events == []
    assert len(film_clinic.ehr.live()) == 1


def test_results_of_a_study_that_is_gone_are_withdrawn(film_clinic: Clinic) -> None:
    film_clinic.reconcile()
    film_clinic.work()
    film_clinic.ehr.delete("ImagingStudy/s1")
    assert film_clinic.reconcile().withdrawn == 2
    assert film_clinic.ehr.live() == []
    withdrawn = [item for item in film_clinic.ehr.of_type("Provenance") if "NULLIFY" in str(item["activity"])]
    assert withdrawn[0]["activity"]["text"] == "The study is no longer in the record."


@pytest.mark.parametrize(("criteria", "swept"), [("Observation?patient=p1", 5), ("DiagnosticReport?patient=p1", 1)])
def test_values_are_answered_once_and_not_asked_for_again(tmp_path: Path, criteria: str, swept: int) -> None:
    clinic = Clinic(load_models(PACKAGES)["thyroid"], criteria, tmp_path / "images")
    resources: list[dict[str, Any]] = [patient(), *thyroid_values(), thyroid_report()]
    for resource in resources:
        clinic.ehr.put(resource)
    assert clinic.reconcile().swept == swept
    assert [outcome.outcome for outcome in clinic.work()].count("predicted") == 1
    report = clinic.reconcile()
    assert (report.unanswered, report.doubled, report.withdrawn) == (0, 0, 0)
    assert len(clinic.ehr.live()) == 1
