"""A person's word on a result: what is written, and bound to what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_adapter.codes import OVERRIDE_REASON, REVIEW, concept
from fhir_adapter.evidence import confirmation, rejection
from tests import validator
from tests.smart import predicted

Json = dict[str, Any]
NOW = datetime(2026, 1, 11, 9, tzinfo=UTC)
WHO = {"practitioner": "Practitioner/dr1", "now": NOW, "organization": "General Hospital"}
REASON = concept(OVERRIDE_REASON, "known", "It is already known", text="Rejected. It is already known.")
KINDS = frozenset({"RiskAssessment", "Observation"})


def results(version: str | None = "3") -> list[Json]:
    return [{**item, "meta": {**item["meta"], **({"versionId": version} if version else {})}} for item in predicted()]


@pytest.mark.parametrize("changeable", [frozenset(), frozenset({"RiskAssessment"}), KINDS])
def test_what_may_not_be_changed_is_not_and_the_record_is_always_there(changeable: frozenset[str]) -> None:
    for bundle in (
        confirmation(results(), **WHO, changeable=changeable),
        rejection(results(), **WHO, reason=REASON, changeable=changeable),
    ):
        *changed, record = bundle["entry"]
        assert {entry["resource"]["resourceType"] for entry in changed} == changeable
        assert all(entry["request"]["ifMatch"] == 'W/"3"' for entry in changed)
        assert record["resource"]["resourceType"] == "Provenance" and "ifMatch" not in record["request"]
        assert len(record["resource"]["target"]) == 2
        assert all("/_history/3" in entity["what"]["reference"] for entity in record["resource"]["entity"])
        for entry in bundle["entry"]:
            validator.assert_valid(entry["resource"])


def test_a_rejected_result_keeps_its_status_and_a_later_word_replaces_the_earlier_one() -> None:
    rejected = rejection(results(), **WHO, reason=REASON, changeable=KINDS)["entry"][:2]
    assert {entry["resource"]["status"] for entry in rejected} <= {"preliminary"}
    again = confirmation([entry["resource"] for entry in rejected], **WHO, changeable=KINDS)["entry"][:2]
    for entry in again:
        assert [tag["code"] for tag in entry["resource"]["meta"]["tag"] if tag["system"] == REVIEW] == ["confirmed"]
        assert entry["resource"]["status"] == "final"


def test_the_same_word_on_the_same_version_is_the_same_record() -> None:
    def identifier(**change: Any) -> str:
        return str(
            confirmation(results(change.pop("version", "3")), **{**WHO, **change})["entry"][-1]["resource"]["id"]
        )

    same = identifier()
    assert identifier(now=datetime(2026, 1, 12, tzinfo=UTC)) == same
    assert (
        len({same, identifier(version="4"), identifier(version=None), identifier(practitioner="Practitioner/dr2")}) == 4
    )
    assert rejection(results(), **WHO, reason=REASON)["entry"][-1]["resource"]["id"] != same


def test_only_practitioners_and_only_with_a_reason() -> None:
    with pytest.raises(ValueError, match="Practitioner"):
        confirmation(results(), **{**WHO, "practitioner": "Patient/p1"})
    with pytest.raises(ValueError, match="Practitioner"):
        rejection(results(), **{**WHO, "practitioner": "Patient/p1"}, reason=REASON)
    with pytest.raises(ValueError, match="reason"):
        rejection(results(), **WHO, reason={})
    withdrawn = [{**item, "status": "entered-in-error"} for item in results()]
    with pytest.raises(ValueError, match="entered-in-error"):
        confirmation(withdrawn, **WHO, changeable=KINDS)
