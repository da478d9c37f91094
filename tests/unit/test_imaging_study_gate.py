"""When a study may be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_adapter.dicomweb import DirectoryImageStore, ImageStore, InstanceRow, SeriesRow
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.imaging_study import Decision, GateState, StudyCounts, StudyGate, count_study
from tests.imagestores import SERIES, STUDY, ct_path, ct_slice

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
GATE = StudyGate(stable=timedelta(seconds=60))
ONE, TWO = "1.2.1", "1.2.2"


def counts(**series: int) -> StudyCounts:
    return StudyCounts(tuple(sorted((f"1.2.{name[1:]}", count) for name, count in series.items())))


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_study_is_read_once_it_stays_as_it_is() -> None:
    first = GATE.look(None, NOON, counts(s1=3))
    assert (first.decision, first.look_again) == (Decision.WAIT, timedelta(seconds=60))
    assert "unchanged for 0 of 60 s" in first.reason
    early = GATE.look(first.state, after(59), counts(s1=3))
    assert (early.decision, early.look_again) == (Decision.WAIT, timedelta(seconds=1))
    ready = GATE.look(early.state, after(60), counts(s1=3))
    assert ready.decision is Decision.READY
    assert ready.may_read
    assert ready.reason == "3 instances in 1 series, unchanged for 60 s"


def test_every_change_starts_the_wait_anew() -> None:
    state = GATE.look(None, NOON, counts(s1=3)).state
    state = GATE.look(state, after(50), counts(s1=4)).state
    assert GATE.look(state, after(60), counts(s1=4)).decision is Decision.WAIT
    assert GATE.look(state, after(110), counts(s1=4)).decision is Decision.READY
    # as many instances in all, yet others
    assert GATE.look(state, after(110), counts(s1=3, s2=1)).decision is Decision.WAIT


def test_nothing_is_never_read() -> None:
    state = GATE.look(None, NOON, StudyCounts()).state
    verdict = GATE.look(state, after(10_000), StudyCounts())
    assert verdict.decision is Decision.WAIT
    assert "none of its instances" in verdict.reason


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        ({"numberOfInstances": 5}, "the store holds 3, numberOfInstances promises 5"),
        ({"numberOfSeries": 2}, "the store holds 1, numberOfSeries promises 2"),
        ({"series": [{"uid": ONE, "numberOfInstances": 4}]}, "holds 3 instances of a series"),
        ({"series": [{"uid": f"urn:oid:{TWO}", "numberOfInstances": 1}]}, "holds 0 instances of a series"),
    ],
)
def test_what_the_resource_promises_is_waited_for(study: dict[str, Any], reason: str) -> None:
    state = GATE.look(None, NOON, counts(s1=3), study).state
    verdict = GATE.look(state, after(3600), counts(s1=3), study)
    assert verdict.decision is Decision.WAIT
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "study",
    [None, {}, {"numberOfInstances": 3, "numberOfSeries": 1}, {"numberOfInstances": 2}, {"series": [{"uid": ONE}]}],
)
def test_what_is_kept_or_was_not_promised_is_not_waited_for(study: dict[str, Any] | None) -> None:
    state = GATE.look(None, NOON, counts(s1=3), study).state
    assert GATE.look(state, after(60), counts(s1=3), study).decision is Decision.READY


def test_patience_ends_where_the_tenant_says_so() -> None:
    gate, study = StudyGate(timedelta(seconds=60), patience=timedelta(hours=1)), {"numberOfInstances": 5}
    state = gate.look(None, NOON, counts(s1=3), study).state
    waiting = gate.look(state, after(600), counts(s1=3), study)
    assert (waiting.decision, waiting.look_again) == (Decision.WAIT, timedelta(seconds=3000))
    ready = gate.look(state, after(3600), counts(s1=3), study)
    assert ready.decision is Decision.READY
    assert "although the store holds 3, numberOfInstances promises 5" in ready.reason


def test_a_study_that_grows_is_read_again() -> None:
    state = GATE.look(None, NOON, counts(s1=3)).state.after_scoring(counts(s1=3))
    done = GATE.look(state, after(60), counts(s1=3))
    assert (done.decision, done.look_again, done.may_read) == (Decision.DONE, None, False)
    grows = GATE.look(done.state, after(100), counts(s1=3, s2=1))
    assert grows.decision is Decision.WAIT
    grown = GATE.look(grows.state, after(160), counts(s1=3, s2=1))
    assert grown.decision is Decision.GROWN
    assert grown.may_read
    assert grown.reason.startswith("it grew after it was read: 4 instances in 2 series")
    state = grown.state.after_scoring(counts(s1=3, s2=1))
    assert GATE.look(state, after(161), counts(s1=3, s2=1)).decision is Decision.DONE


def test_a_study_that_shrinks_is_read_again_as_well() -> None:
    state = GATE.look(None, NOON, counts(s1=3)).state.after_scoring(counts(s1=3))
    state = GATE.look(state, after(1), counts(s1=2)).state
    verdict = GATE.look(state, after(61), counts(s1=2))
    assert verdict.decision is Decision.GROWN
    assert verdict.reason.startswith("it changed after it was read")


def test_a_study_that_grew_while_it_was_read_is_not_done() -> None:
    """What counts is what was read, not what was last seen."""
    state = GATE.look(None, NOON, counts(s1=4)).state.after_scoring(counts(s1=3))
    assert GATE.look(state, after(60), counts(s1=4)).decision is Decision.GROWN


def test_a_clock_that_goes_backwards_only_lengthens_the_wait() -> None:
    state = GATE.look(None, after(1000), counts(s1=3)).state
    back = GATE.look(state, NOON, counts(s1=3))
    assert back.decision is Decision.WAIT
    assert GATE.look(back.state, after(60), counts(s1=3)).decision is Decision.READY


def test_the_state_survives_being_kept() -> None:
    for state in (GateState(counts(s1=3, s2=1), NOON), GateState(counts(), after(1.5), counts(s1=1))):
        assert GateState.from_dict(json.loads(json.dumps(state.as_dict()))) == state


@given(
    looks=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), st.booleans()), max_size=25),
    stable=st.integers(0, 120),
)
def test_it_never_reads_what_changed_within_the_interval(looks: list[tuple[int, int, bool]], stable: int) -> None:
    gate = StudyGate(timedelta(seconds=stable))
    state: GateState | None = None
    now, seen, changed, scored = NOON, None, NOON, None
    for wait, count, grows in looks:
        now += timedelta(seconds=wait)
        held = counts(s1=count, s2=int(grows))
        if held != seen:
            seen, changed = held, now
        verdict = gate.look(state, now, held)
        state = verdict.state
        assert not verdict.may_read or now - changed >= timedelta(seconds=stable)
        assert verdict.may_read == (
            held.instances > 0 and held != scored and now - changed >= timedelta(seconds=stable)
        )
        if verdict.may_read:
            assert (verdict.decision is Decision.READY) == (scored is None)
            state, scored = state.after_scoring(held), held


def test_times_and_intervals_must_make_sense() -> None:
    with pytest.raises(ValueError, match="time zone"):
        GATE.look(None, datetime(2026, 1, 1), counts(s1=1))  # noqa: DTZ001
    for wrong in ({"stable": timedelta(-1)}, {"patience": timedelta(seconds=1)}):
        with pytest.raises(ConfigurationError):
            StudyGate(**wrong)


def test_counting(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    assert count_study(store, STUDY) == StudyCounts()
    store.store([ct_slice(1), ct_slice(2), ct_slice(1, series=f"{SERIES}.9")]).require_all()
    found = count_study(store, STUDY)
    assert found == StudyCounts(((SERIES, 2), (f"{SERIES}.9", 1)))
    assert found.instances == 3


def test_a_store_that_does_not_count_is_counted() -> None:
    class Silent:
        def series(self, study: str) -> list[SeriesRow]:
            return [SeriesRow(study, SERIES)]

        def instances(self, study: str, series: str) -> list[InstanceRow]:
            return [InstanceRow(ct_path(number)) for number in (1, 2, 3)]

    store: ImageStore = Silent()  # type: ignore[assignment]
    assert count_study(store, STUDY) == StudyCounts(((SERIES, 3),))
