"""The value objects of structured reports: one that exists can be written; and UIDs that a key decides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_adapter.structured_report import (
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
    ucum,
    uid_from,
)
from fhir_adapter.structured_report.identifiers import checked_uid

QT = Coding("LN", "8634-8", "QT interval")
IMAGE = SourceInstance("1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.5")
ECG = SourceInstance("1.2.3", "1.2.3.6", "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.3.6.1")
GROUP: dict[str, Any] = {"tracking": Tracking("QT", "1.2"), "sources": (IMAGE,)}


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_key_decides_a_valid_uid(key: list[str]) -> None:
    uid = uid_from(*key)
    assert checked_uid(uid, "it") == uid == uid_from(*key)
    assert uid.startswith("2.25.") and len(uid) <= 44


def test_other_keys_give_other_uids_and_these_stay() -> None:
    keys = [("a",), ("a", ""), ("", "a"), ("a", "b"), ("ab",), ("b", "a"), ("1:a",)]
    assert len({uid_from(*key) for key in keys}) == len(keys)
    assert uid_from("result", "sr") == "2.25.185799046544414580312342029599032328448"
    with pytest.raises(StructuredReportError):
        uid_from()


@pytest.mark.parametrize("uid", ["", "1", "1.", ".1", "1..2", "01.2", "1.02", "1.a", "1.2\n", "1." + "2" * 63, None])
def test_what_is_no_uid_is_refused(uid: Any) -> None:
    with pytest.raises(StructuredReportError, match="a tracking UID is not a UID"):
        Tracking("x", uid)
    with pytest.raises(StructuredReportError, match="series_uid"):
        SourceInstance("1.2", uid, "1.2", "1.2")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Coding("SCT", "1", ""),
        lambda: Coding("SCT", "1", "a" * 65),
        lambda: Coding("SCT", "a\\b", "x"),
        lambda: Coding("S" * 17, "1", "x"),
        lambda: Coding("SCT", "1", "two\nlines"),
        lambda: Coding.from_fhir("http://elsewhere.test", "1", "x"),
        lambda: Measurement(QT, float("nan"), ucum("ms")),
        lambda: Measurement(QT, float("inf"), ucum("ms")),
        lambda: Measurement(QT, True, ucum("ms")),
        lambda: Measurement(QT, 1.0, Coding("SCT", "258701004", "ms")),
        lambda: Algorithm("", "1", "Bedside"),
        lambda: SourceInstance("1.2", "1.2", "1.2", "1.2", (0,)),
        lambda: SourceInstance("1.2", "1.2", ECG.sop_class_uid, "1.2", (1,)),
        lambda: MeasurementGroup(**GROUP),
        lambda: MeasurementGroup(Tracking("QT", "1.2"), (), (Measurement(QT, 1.0, ucum("ms")),)),
        lambda: MeasurementReport(Algorithm("a", "1", "b"), QT, ()),
    ],
)
def test_what_could_not_be_written_cannot_be_made(make: Any) -> None:
    with pytest.raises(StructuredReportError):
        make()


def test_two_groups_are_not_tracked_as_one() -> None:
    group = MeasurementGroup(**GROUP, evaluations=(Evaluation(QT, PRESENT),))
    with pytest.raises(StructuredReportError, match="same UID"):
        MeasurementReport(Algorithm("a", "1", "b"), QT, (group, group))


def test_code_systems_and_units_in_dicom_s_words() -> None:
    assert Coding.from_fhir("http://loinc.org", "8634-8", "QT interval") == QT
    assert ucum("ms") == Coding("UCUM", "ms", "ms")
    assert ucum("1") == Coding("UCUM", "1", "no units")
    assert ECG.is_waveform and not IMAGE.is_waveform


def test_value_objects_need_neither_pydicom_nor_highdicom() -> None:
    code = (
        "import sys, fhir_adapter.structured_report;"
        "print(*sorted({'pydicom', 'highdicom', 'numpy', 'PIL'} & {name.split('.')[0] for name in sys.modules}))"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == ""
