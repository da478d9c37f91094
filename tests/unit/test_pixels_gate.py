"""Which images a model is for: refused by name, and never by repeating what a file says about a person."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import Refusal, RefusalReason
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.pixels import ImageGate
from tests.dicoms import CT, DX, SECRET, image

CHILD_CHEST = {
    "sop_classes": [DX, "1.2.840.10008.5.1.4.1.1.1"],
    "modalities": ["CR", "DX"],
    "views": ["PA", "AP"],
    "view_codes": ["SCT|272479007", "SCT|399348003"],
    "body_parts": ["CHEST"],
    "body_part_codes": ["SCT|51185008", "SCT|816094009", "SRT|T-D3000"],
    "lateralities": ["U", "B"],
    "age": {"min": 1, "max": 5},
    "photometric": ["MONOCHROME1", "MONOCHROME2"],
    "may_be_missing": ["laterality"],
}
GATE = ImageGate.of(CHILD_CHEST)


def code(value: str, scheme: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "something"
    return item


def film(**attributes: Any) -> Dataset:
    good = {"ViewPosition": "PA", "BodyPartExamined": "CHEST", "PatientAge": "004Y", "BurnedInAnnotation": "NO"}
    return image(**(good | {"PresentationIntentType": "FOR PRESENTATION"} | attributes))


def reasons(dataset: Dataset, gate: ImageGate = GATE) -> list[str]:
    return [refusal.reason.value for refusal in gate.check(dataset)]


def test_what_the_model_is_for() -> None:
    assert GATE.check(film()) == ()
    assert reasons(film(ViewPosition=None, ViewCodeSequence=[code("272479007", "SCT")])) == []
    for value, scheme in (("51185008", "SCT"), ("T-D3000", "SRT"), ("T-D3000", "SNM3")):
        assert reasons(film(BodyPartExamined=None, AnatomicRegionSequence=[code(value, scheme)])) == []
    assert reasons(film(Laterality="U")) == []


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SOPClassUID": CT}, "sop-class"),
        ({"SOPClassUID": "1.2.3"}, "sop-class"),
        ({"Modality": "CT"}, "modality"),
        ({"Modality": None}, "modality"),
        ({"ViewPosition": "LL"}, "view"),
        ({"ViewPosition": None}, "view"),
        ({"ViewCodeSequence": [code("399067008", "SCT")]}, "view"),
        ({"BodyPartExamined": "HAND"}, "body-part"),
        ({"BodyPartExamined": ""}, "body-part"),
        ({"AnatomicRegionSequence": [code("85562004", "SCT")]}, "body-part"),
        ({"ImageLaterality": "L"}, "laterality"),
        ({"PatientAge": "041Y"}, "age"),
        ({"PatientAge": "011M"}, "age"),
        ({"PatientAge": None}, "age"),
        ({"PatientAge": None, "PatientBirthDate": "19800101", "StudyDate": "20240101"}, "age"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for-processing"),
        ({"BurnedInAnnotation": "YES"}, "burned-in-annotation"),
        ({"PhotometricInterpretation": "RGB"}, "photometric-interpretation"),
    ],
)
def test_what_it_is_not_for(attributes: dict[str, Any], reason: str) -> None:
    refused = GATE.check(film(**attributes))
    assert [refusal.reason for refusal in refused] == [RefusalReason(reason)]
    assert refused[0].detail.endswith(".")


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2"])
def test_secondary_captures(uid: str) -> None:
    gate = ImageGate.of({key: value for key, value in CHILD_CHEST.items() if key != "sop_classes"})
    assert reasons(film(SOPClassUID=uid), gate) == ["secondary-capture"]
    allowing = ImageGate.of({"allow_secondary_capture": True})
    assert reasons(film(SOPClassUID=uid), allowing) == []


def test_every_reason_is_given() -> None:
    wrong = film(SOPClassUID=CT, Modality="CT", ViewPosition="LL", PatientAge="080Y", BurnedInAnnotation="YES")
    assert reasons(wrong) == ["sop-class", "modality", "burned-in-annotation", "view", "age"]


def test_an_open_gate_still_refuses_what_no_model_should_see() -> None:
    assert reasons(film(BurnedInAnnotation="YES", PresentationIntentType="FOR PROCESSING"), ImageGate()) == [
        "for-processing",
        "burned-in-annotation",
    ]
    lenient = ImageGate(allow_burned_in_annotation=True, allow_for_processing=True)
    assert reasons(film(BurnedInAnnotation="YES", PresentationIntentType="FOR PROCESSING"), lenient) == []


def test_what_may_be_missing_may_not_be_wrong() -> None:
    gate = ImageGate.of(CHILD_CHEST | {"may_be_missing": ["view", "body_part", "laterality", "age"]})
    assert reasons(film(ViewPosition=None, BodyPartExamined=None, PatientAge=None), gate) == []
    assert reasons(film(ViewPosition="LL", BodyPartExamined="HAND", PatientAge="030Y"), gate) == [
        "view",
        "body-part",
        "age",
    ]


def test_anatomy_in_functional_groups() -> None:
    anatomy, shared = Dataset(), Dataset()
    anatomy.AnatomicRegionSequence, anatomy.FrameLaterality = [code("51185008", "SCT")], "L"
    shared.FrameAnatomySequence = [anatomy]
    dataset = film(BodyPartExamined=None, SharedFunctionalGroupsSequence=[shared])
    assert reasons(dataset) == ["laterality"]


@pytest.mark.filterwarnings("ignore:(Invalid value|The value length)")
def test_a_refusal_repeats_codes_and_nothing_else() -> None:
    dataset = film(Modality=SECRET, ViewPosition="MISTER LONG NAME WITH CODE", BodyPartExamined="FOOT")
    words = " ".join(refusal.detail for refusal in GATE.check(dataset))
    assert "SECRET" not in words
    assert "MISTER" not in words
    assert "FOOT" in words
    assert GATE.check(film(PatientAge="041Y")) == (Refusal(RefusalReason.AGE, "The model is for ages 1 to 5."),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modality": ["DX"]}, "not known: modality"),
        ({"modalities": "DX"}, "modalities must be a list"),
        ({"sop_classes": ["DX"]}, "'DX' is not a UID"),
        ({"view_codes": ["399348003"]}, "scheme|code"),
        ({"age": {"min": 5, "max": 1}}, "age must have min up to max"),
        ({"age": {"from": 5}}, "age must have min and max"),
        ({"age": {"min": "five"}}, "whole years"),
        ({"may_be_missing": ["modality"]}, "may_be_missing: modality"),
        ({"allow_for_processing": "yes"}, "allow_for_processing must be true or false"),
    ],
)
def test_what_is_wrong_in_a_contract_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words.replace("|", r"\|")):
        ImageGate.of(CHILD_CHEST | change)
