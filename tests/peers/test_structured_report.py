"""Structured reports and secondary captures, read back by highdicom and pydicom and checked by dciodvfy and dsrdump."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from fhir_adapter.dicomweb import InstancePath, WebImageStore
from fhir_adapter.structured_report import (
    ABSENT,
    PRESENT,
    Algorithm,
    Coding,
    Evaluation,
    Measurement,
    MeasurementGroup,
    MeasurementReport,
    SourceInstance,
    StructuredReportError,
    Tracking,
    comprehensive_sr,
    secondary_capture,
    to_file,
    ucum,
    uid_from,
)
from tests.orthanc import orthanc
from tests.peering import require_peer

pytestmark = [pytest.mark.peer("highdicom")]

CREATED = datetime(2026, 1, 10, 8, 30, 15, 250000, tzinfo=UTC)
DIGEST = "ef80364973cd5ed37f85a4948e86e610ebbebd298b7b1b029dbe81976e7d997b"
ALGORITHM = Algorithm(
    "ecg", "1.0.0", "Bedside", (f"sha256 {DIGEST}",), Coding("DCM", "123110", "Artificial Intelligence")
)
QT = Coding("LN", "8634-8", "QT interval")
FIBRILLATION = Coding("SCT", "49436004", "Atrial fibrillation")


@pytest.fixture(autouse=True)
def peer() -> None:
    require_peer("highdicom", module="highdicom")


def bundled(name: str) -> Any:
    from pydicom.data import get_testdata_file

    return pydicom.dcmread(str(get_testdata_file(name)))


def radiograph(**more: Any) -> Any:
    """A header such as an X-ray detector writes; nobody's."""
    from pydicom.dataset import Dataset

    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    made.SOPInstanceUID, made.SeriesInstanceUID, made.StudyInstanceUID = "1.2.3.4.5", "1.2.3.4", "1.2.3"
    made.PatientName, made.PatientID = "Mü^Jos\xe9", "CANARY-1"
    made.PatientBirthDate, made.PatientSex, made.PatientAge = "20190304", "F", "006Y"
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = "20260110", "081500", "S1", "A1"
    made.ReferringPhysicianName, made.StudyDescription = "Who^Doctor", "Chest"
    made.Modality, made.BodyPartExamined, made.PatientOrientation = "DX", "CHEST", ["L", "F"]
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


def source_of(dataset: Any) -> SourceInstance:
    return SourceInstance(
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPClassUID, dataset.SOPInstanceUID
    )


def report_on(*datasets: Any) -> MeasurementReport:
    sources = tuple(source_of(dataset) for dataset in datasets)
    return MeasurementReport(
        ALGORITHM,
        Coding("SCT", "29303009", "Electrocardiographic procedure"),
        (
            MeasurementGroup(
                Tracking("Intervals", uid_from("result-1", "intervals")),
                sources,
                measurements=(
                    Measurement(QT, 368.25, ucum("ms"), derivation=Coding("SCT", "373098007", "Mean")),
                    Measurement(Coding("LN", "8867-4", "Heart rate"), 61, ucum("/min", "per minute")),
                ),
                sites=(Coding("SCT", "80891009", "Heart"),),
            ),
            MeasurementGroup(
                Tracking("Rhythm", uid_from("result-1", "rhythm")),
                sources,
                evaluations=(Evaluation(FIBRILLATION, ABSENT),),
                finding=FIBRILLATION,
            ),
        ),
    )


def written(dataset: Any) -> Any:
    """What another program reads."""
    return pydicom.dcmread(BytesIO(to_file(dataset)))


def sr_of(source: Any, **more: Any) -> Any:
    return comprehensive_sr(source, report_on(source), **{"key": "result-1", "created": CREATED, **more})


def picture() -> Any:
    return np.random.default_rng(7).integers(0, 256, (63, 65, 3), dtype=np.uint8)


def sc_of(source: Any, **more: Any) -> Any:
    told = {"key": "result-1", "created": CREATED, **more}
    return secondary_capture(source, picture(), ALGORITHM, [source_of(source)], **told)


@pytest.mark.conformance("I01", "I02", "I03")
def test_a_report_reads_back_as_it_was_said() -> None:
    import highdicom as hd

    source = bundled("CT_small.dcm")
    read = hd.sr.ComprehensiveSR.from_dataset(written(sr_of(source)))
    assert read.get_evidence() == [
        (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID, source.SOPClassUID)
    ]
    assert (read.CompletionFlag, read.VerificationFlag, read.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    first, second = read.content.get_image_measurement_groups()
    assert first.tracking_identifier == "Intervals"
    assert first.tracking_uid == uid_from("result-1", "intervals")
    assert [(item.name.value, item.value, item.unit.value) for item in first.get_measurements()] == [
        ("8634-8", 368.25, "ms"),
        ("8867-4", 61, "/min"),
    ]
    assert first.get_measurements()[0].unit.scheme_designator == "UCUM"
    assert first.get_measurements()[0].derivation.meaning == "Mean"
    assert [site.value.value for site in first.finding_sites] == ["80891009"]
    assert [image.referenced_sop_instance_uid for image in first.source_images] == [source.SOPInstanceUID]
    assert second.finding_type.value == "49436004"
    (answer,) = second.get_qualitative_evaluations(name=hd.sr.CodedConcept("49436004", "SCT", "Atrial fibrillation"))
    assert answer.value.value == "272519000"


@pytest.mark.conformance("I01", "I02", "I03")
@pytest.mark.parametrize(("name", "kind"), [("waveform_ecg.dcm", "WAVEFORM"), ("CT_small.dcm", "IMAGE")])
def test_every_group_names_its_algorithm_and_its_sources(name: str, kind: str) -> None:
    source = bundled(name)
    read = written(sr_of(source))
    assert read.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (measurements,) = [item for item in read.ContentSequence if item.ValueType == "CONTAINER"]
    assert len(measurements.ContentSequence) == 2
    for group in measurements.ContentSequence:
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1501"
        items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        assert items["111001"].TextValue == "ecg"
        assert items["111003"].TextValue == "1.0.0"
        assert items["111002"].TextValue == f"sha256 {DIGEST}"
        assert items["111000"].ConceptCodeSequence[0].CodeMeaning == "Artificial Intelligence"
        assert items["112040"].UID.startswith("2.25.")
        assert items["121112"].ValueType == kind
        (reference,) = items["121112"].ReferencedSOPSequence
        assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (
            source.SOPClassUID,
            source.SOPInstanceUID,
        )


@pytest.mark.conformance("I03")
@pytest.mark.parametrize("make", [sr_of, sc_of])
def test_same_patient_and_study_another_series(make: Any) -> None:
    source = radiograph(IssuerOfPatientID="Hospital", PatientWeight="21.5", StudyDescription="Thorax zwei Ebenen")
    read = written(make(source))
    for keyword in (
        *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
        *("PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
        *("ReferringPhysicianName", "StudyDescription"),
    ):
        assert read[keyword].value == source[keyword].value, keyword
    assert read.SeriesInstanceUID != source.SeriesInstanceUID
    assert (read.Manufacturer, read.ManufacturerModelName, read.SoftwareVersions) == ("Bedside", "ecg", "1.0.0")
    assert (read.ContentDate, read.ContentTime) == ("20260110", "083015.250000")


def test_a_report_and_a_picture_of_one_result_are_two_series() -> None:
    report, image = sr_of(radiograph()), sc_of(radiograph())
    assert report.SeriesInstanceUID != image.SeriesInstanceUID
    assert report.SOPInstanceUID != image.SOPInstanceUID
    assert (report.Modality, image.Modality) == ("SR", "OT")


@pytest.mark.parametrize("make", [sr_of, sc_of])
def test_a_repeat_is_the_same_object_byte_for_byte(make: Any) -> None:
    once, again = make(bundled("CT_small.dcm")), make(bundled("CT_small.dcm"))
    assert to_file(once) == to_file(again) == to_file(once)
    assert to_file(once)[:132] == bytes(128) + b"DICM", "nothing hides before the object (PS3.10, 7.5)"
    other = make(bundled("CT_small.dcm"), key="result-2")
    assert other.SOPInstanceUID != once.SOPInstanceUID
    assert other.SeriesInstanceUID != once.SeriesInstanceUID
    assert other.StudyInstanceUID == once.StudyInstanceUID


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^José"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_any_character_set_arrive(charset: Any, name: str) -> None:
    from pydicom import dcmread

    source = radiograph(SpecificCharacterSet=charset, PatientName=name)
    qualifier = type(source)()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = (
        "Krankenhaus Köln" if "100" in charset else "x",
        "DNS",
    )
    source.IssuerOfPatientIDQualifiersSequence = [qualifier]
    read_source = dcmread(BytesIO(to_file(source)))
    for make in (sr_of, sc_of):
        read = written(make(read_source))
        assert read.SpecificCharacterSet == "ISO_IR 192"
        assert str(read.PatientName) == name
        (item,) = read.IssuerOfPatientIDQualifiersSequence
        assert item.UniversalEntityID == qualifier.UniversalEntityID


def test_the_time_is_told_in_the_zone_of_the_study() -> None:
    read = written(sr_of(radiograph(TimezoneOffsetFromUTC="-0500")))
    assert (read.ContentDate, read.ContentTime) == ("20260110", "033015.250000")
    assert read.TimezoneOffsetFromUTC == "-0500"
    assert "TimezoneOffsetFromUTC" not in written(sr_of(radiograph()))


@pytest.mark.parametrize("make", [sr_of, sc_of])
def test_what_is_wrong_in_a_source_is_left_out_and_not_told(
    make: Any, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    from pydicom import dcmread
    from pydicom.config import disable_value_validation

    with disable_value_validation():
        source = radiograph(
            PatientBirthDate="CANARY-2", PatientSex="CANARY-3", PatientAge="CANARY-4", StudyTime="CANARY5"
        )
        source.add_new("PatientWeight", "LO", "CANARY-6")
        content = to_file(source)
    caplog.clear()
    read = written(make(dcmread(BytesIO(content))))
    for keyword in ("PatientBirthDate", "PatientSex", "StudyTime"):
        assert keyword in read and read[keyword].is_empty
    assert "PatientAge" not in read and "PatientWeight" not in read
    assert (read.PatientID, read.StudyDate) == ("CANARY-1", "20260110")
    assert not [warning for warning in recwarn if "CANARY" in str(warning.message)]
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize("make", [sr_of, sc_of])
def test_a_source_that_lacks_what_is_obligatory_gives_it_empty(make: Any) -> None:
    source = radiograph()
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName", "PatientOrientation"):
        delattr(source, keyword)
    read = written(make(source))
    assert all(
        keyword in read and read[keyword].is_empty for keyword in ("PatientName", "PatientID", "AccessionNumber")
    )


def test_a_study_that_is_none_and_sources_of_another_are_refused() -> None:
    source = radiograph()
    source.StudyInstanceUID = ""
    with pytest.raises(StructuredReportError, match="StudyInstanceUID"):
        comprehensive_sr(source, report_on(radiograph()), key="a", created=CREATED)
    other = radiograph(StudyInstanceUID="9.9.9")
    with pytest.raises(StructuredReportError, match="its own study"):
        comprehensive_sr(radiograph(), report_on(other), key="a", created=CREATED)
    with pytest.raises(StructuredReportError, match="SeriesNumber"):
        sr_of(radiograph(), series_number=0)


def test_several_sources_are_listed_by_series() -> None:
    sources = [
        radiograph(SOPInstanceUID=f"1.2.3.{series}.{item}", SeriesInstanceUID=f"1.2.3.{series}")
        for series in (4, 5)
        for item in (1, 2)
    ]
    read = written(comprehensive_sr(sources[0], report_on(*sources), key="a", created=CREATED))
    (study,) = read.CurrentRequestedProcedureEvidenceSequence
    assert [len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence] == [2, 2]


def test_a_picture_reads_back_pixel_for_pixel_and_names_its_source() -> None:
    source = radiograph(LossyImageCompression="01", LossyImageCompressionRatio="12.5", Laterality="R")
    source.BodyPartExamined = "HAND"
    read = written(sc_of(source))
    assert np.array_equal(read.pixel_array, picture())
    assert read.PhotometricInterpretation == "RGB"
    assert (read.LossyImageCompression, read.LossyImageCompressionRatio) == ("01", 12.5)
    assert (read.BodyPartExamined, read.Laterality, list(read.PatientOrientation)) == ("HAND", "R", ["L", "F"])
    (reference,) = read.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 8193, 3), np.uint8),
    ],
)
def test_a_picture_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(StructuredReportError, match="a picture"):
        secondary_capture(radiograph(), wrong, ALGORITHM, [], key="a", created=CREATED)


@pytest.mark.conformance("I04")
@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("make", [sr_of, sc_of])
@pytest.mark.parametrize("name", ["waveform_ecg.dcm", "CT_small.dcm", "radiograph"])
def test_dciodvfy_finds_no_error(tmp_path: Path, make: Any, name: str) -> None:
    require_peer("dciodvfy (dicom3tools)", command="dciodvfy")
    source = radiograph() if name == "radiograph" else bundled(name)
    file = tmp_path / "made.dcm"
    file.write_bytes(to_file(make(source)))
    run = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True, timeout=60, check=False)
    told = run.stdout + run.stderr
    assert [line for line in told.splitlines() if line.startswith("Error")] == []
    assert run.returncode == 0
    assert ("ComprehensiveSR" if make is sr_of else "SCImage") in told


@pytest.mark.conformance("I04")
@pytest.mark.peer("dsrdump")
def test_dcmtk_reads_the_content_tree(tmp_path: Path) -> None:
    require_peer("dsrdump (dcmtk)", command="dsrdump")
    file = tmp_path / "made.dcm"
    file.write_bytes(to_file(sr_of(bundled("waveform_ecg.dcm"))))
    run = subprocess.run(["dsrdump", str(file)], capture_output=True, text=True, timeout=60, check=True)
    assert 'NUM:(,,"QT interval")="368.25" (ms,UCUM,"ms")' in run.stdout
    assert 'WAVEFORM:(,,"Source of Measurement")' in run.stdout
    assert not [line for line in run.stderr.splitlines() if line.startswith("E:")]


@pytest.mark.conformance("I01", "I03")
@pytest.mark.peer("Orthanc")
def test_orthanc_keeps_a_result_once_beside_its_source(tmp_path: Path) -> None:
    source = bundled("waveform_ecg.dcm")
    made = [sr_of(source), sc_of(source)]
    with orthanc(tmp_path) as pacs:
        store = WebImageStore(pacs.root, pacs.token)
        try:
            store.store([to_file(source), *map(to_file, made)])
            store.store(map(to_file, (sr_of(source), sc_of(source))))
            listed = store.instances(source.StudyInstanceUID)
            assert {row.path.instance for row in listed} == {d.SOPInstanceUID for d in (source, *made)}
            for dataset in made:
                path = InstancePath(source.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
                read = pydicom.dcmread(BytesIO(store.instance(path)))
                assert read == written(dataset)
        finally:
            store.close()


def test_frames_of_a_multi_frame_image_are_named() -> None:
    source = radiograph()
    part = SourceInstance("1.2.3", "1.2.3.4", source.SOPClassUID, "1.2.3.4.5", (2, 3))
    group = MeasurementGroup(Tracking("a", "1.2"), (part,), evaluations=(Evaluation(FIBRILLATION, PRESENT),))
    report = MeasurementReport(ALGORITHM, FIBRILLATION, (group,))
    read = written(comprehensive_sr(source, report, key="a", created=CREATED))
    tree = read.ContentSequence[-1].ContentSequence[0].ContentSequence
    (reference,) = [item for item in tree if item.ValueType == "IMAGE"]
    assert list(reference.ReferencedSOPSequence[0].ReferencedFrameNumber) == [2, 3]
    image = secondary_capture(source, picture(), ALGORITHM, [part], key="a", created=CREATED)
    assert list(written(image).SourceImageSequence[0].ReferencedFrameNumber) == [2, 3]
