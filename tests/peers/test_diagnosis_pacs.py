"""A study through a real archive: fetched over DICOMweb, scored, and its report and picture stored beside it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.dicomweb import WebImageStore, read_header
from fhir_adapter.tenants import Tenant
from functions.diagnosis.predict import load_models
from functions.serving.events import new_event
from functions.serving.imaging import Images, MemoryStudies
from functions.serving.package import Model
from functions.serving.worker import Outcome, answer_event
from infra.local.pacs import FolderPacs, Pacs
from tests import dicoms
from tests.diagnoses import PACKAGES, SERIES, STUDY, child, film, package, recorded_patient, study, tenant_json
from tests.fakes import BASE
from tests.orthanc import orthanc
from tests.strict_ehr import StrictEhr


@pytest.fixture(params=["folder", pytest.param("orthanc", marks=pytest.mark.peer("Orthanc"))], scope="module")
def pacs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "orthanc":
        with orthanc(folder) as found:
            yield found
        return
    served = FolderPacs(folder)
    served.start()
    yield served
    served.stop()


class Ward:
    def __init__(self, pacs: Pacs, model: Model) -> None:
        self.model = model
        self.store = WebImageStore(pacs.root, pacs.token)
        self.ehr = StrictEhr()
        self.client = FhirClient(BASE, transport=self.ehr.transport, retry=RetryPolicy(attempts=1))
        self.images = Images(lambda _tenant, _root: self.store, MemoryStudies())
        self.tenant = Tenant.from_dict(tenant_json([model.package.identity.name], imaging_results="dicom"))

    def answer(self) -> Outcome:
        event = new_event("general", "studies", "focus", "ImagingStudy/s1", None, "Patient/p1")
        return answer_event(event, self.tenant, self.client, self.model, images=self.images)

    def modalities(self, uid: str) -> list[str | None]:
        return sorted(row.modality or "" for row in self.store.series(uid))


def test_a_film_from_the_archive_and_back(pacs: Pacs, tmp_path: Path) -> None:
    package(tmp_path)
    ward = Ward(pacs, load_models(tmp_path)["brightness"])
    ward.ehr.put(child())
    ward.store.store([film()]).require_all()
    ward.ehr.put(study(ward.store))
    assert ward.answer().outcome == "predicted"
    assert ward.modalities(STUDY) == ["DX", "OT", "SR"]
    (row,) = [row for row in ward.store.series(STUDY) if row.modality == "SR"]
    (found,) = ward.store.instances(STUDY, row.series)
    document = dcmread(BytesIO(ward.store.instance(found.path)))
    assert document.CompletionFlag == "COMPLETE"
    assert document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES
    ward.ehr.put(study(ward.store))
    assert ward.answer().outcome == "duplicate"
    assert ward.modalities(STUDY) == ["DX", "OT", "SR"]
    ward.store.close()


def test_an_electrocardiogram_from_the_archive(pacs: Pacs) -> None:
    ward = Ward(pacs, load_models(PACKAGES)["ecg"])
    ward.ehr.put(recorded_patient())
    data = dicoms.ECG.read_bytes()
    uid = read_header(data).path.study
    ward.store.store([data]).require_all()
    ward.ehr.put(study(ward.store, uid))
    assert ward.answer().outcome == "predicted"
    found: dict[str, Any] = {
        item["code"]["coding"][0]["code"]: item["valueQuantity"]["value"] for item in ward.ehr.live("Observation")
    }
    assert found["8637-1"] == pytest.approx(982, abs=5)
    assert found["8634-8"] == pytest.approx(368, abs=30)
    assert "SR" in ward.modalities(uid)
    ward.store.close()
