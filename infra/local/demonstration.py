"""What the demo does: fill the twin's hospital with admissions, visits, tests and studies, and see each answered."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from fhir_adapter.codes import MODEL_TAG
from infra.local import synthea
from infra.local.cohort import draw_cohort
from infra.local.outpatients import DEFAULT_SIZE, draw_outpatients
from infra.local.recorder import Compared, compare
from infra.local.studies import ECG, archive, bundle_of, electrocardiogram, studies
from infra.local.subscriptions import ADMISSIONS, FEEDS, MODELS, OUTPATIENTS, STUDIES, THYROID_TESTS, Feed
from infra.local.thyroid import draw_thyroid_patients
from infra.local.twin import Twin, TwinError

# No event of a patient, or none that has ended.
NOT_COUNTED = ("sweep", "split", "waiting")
ANSWERED = frozenset({"predicted", "abstained", "duplicate", "not-applicable"})


@dataclass(frozen=True)
class Ends:
    """How one model's events ended.

    Parameters
    ----------
    predictions, abstentions, not_applicable, duplicates : int
    """

    predictions: int = 0
    abstentions: int = 0
    not_applicable: int = 0
    duplicates: int = 0


@dataclass(frozen=True)
class Tally:
    """How the events so far ended; an event that several models are asked is one for each.

    Parameters
    ----------
    events, predictions, abstentions, not_applicable, duplicates, failures, dead_letters : int
    models : mapping of str to Ends
        The same by model.
    p50, p95 : float or None
        Milliseconds from the notification to the recorded answer; None when there was none.
    """

    events: int
    predictions: int
    abstentions: int
    duplicates: int
    failures: int
    dead_letters: int
    p50: float | None
    p95: float | None
    not_applicable: int = 0
    models: Mapping[str, Ends] = field(default_factory=dict)

    @classmethod
    def of(cls, twin: Twin) -> Tally:
        """Count what the ledger says now; sweeps are not events of a patient."""
        entries = [entry for entry in twin.ledger() if entry.get("outcome") not in NOT_COUNTED]
        outcomes = Counter(str(entry.get("outcome")) for entry in entries)
        taken = [float(entry["latency_ms"]) for entry in entries if entry.get("outcome") in ANSWERED]
        return cls(
            events=len(entries),
            predictions=outcomes["predicted"],
            abstentions=outcomes["abstained"],
            duplicates=outcomes["duplicate"],
            failures=sum(count for outcome, count in outcomes.items() if outcome not in ANSWERED),
            dead_letters=twin.dead_letter_count(),
            p50=quantile(taken, 0.50),
            p95=quantile(taken, 0.95),
            not_applicable=outcomes["not-applicable"],
            models={name: _ends(entries, name) for name in MODELS},
        )


def _ends(entries: Iterable[Mapping[str, Any]], model: str) -> Ends:
    outcomes = Counter(str(entry.get("outcome")) for entry in entries if entry.get("model") == model)
    return Ends(outcomes["predicted"], outcomes["abstained"], outcomes["not-applicable"], outcomes["duplicate"])


@dataclass(frozen=True)
class Report:
    """What one run of the demo came to.

    Parameters
    ----------
    tally : Tally
    admissions : int
        Events that had to be answered: an admission is one, a visit or a study one for each model.
    written : int
        Results in the EHR now that were not there before.
    settled : bool
        Whether the queues were empty in time.
    measurements : tuple of Compared
        The electrocardiogram's, beside those of the device that recorded it.
    """

    tally: Tally
    admissions: int
    written: int
    settled: bool
    measurements: tuple[Compared, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every event ended in a result or in a recorded abstention, in this run or before."""
        clean = self.tally.failures == 0 and self.tally.dead_letters == 0
        return self.settled and clean and self.tally.events >= self.admissions

    def to_json(self) -> dict[str, Any]:
        """Return what ``bedside demo --json`` prints."""
        tally = self.tally
        return {
            "events": tally.events,
            "predictions": tally.predictions,
            "abstentions": tally.abstentions,
            "written": self.written,
            "duplicates": tally.duplicates,
            "dead_letters": tally.dead_letters,
            "latency_ms": {"p50": tally.p50, "p95": tally.p95},
            "models": {
                name: {
                    "predictions": ends.predictions,
                    "abstentions": ends.abstentions,
                    "not_applicable": ends.not_applicable,
                }
                for name, ends in tally.models.items()
            },
            "measurements": [compared.to_json() for compared in self.measurements],
        }


class Demonstration:
    """The demo on a running twin.

    Parameters
    ----------
    twin : Twin
    patients : int
        Admissions of the cohort; the Synthea patient comes on top.
    say : callable
        Told, in a few words, what is being done.
    watch : callable, optional
        Called again and again while events are answered.
    timeout : float
        Seconds to wait for the answers, before and again after the sweep.
    outpatients : int
        Outpatients with each of three diseases, and people whose thyroid was tested.
    """

    def __init__(
        self,
        twin: Twin,
        patients: int,
        say: Callable[[str], None],
        watch: Callable[[], None] | None = None,
        timeout: float = 120.0,
        *,
        outpatients: int = DEFAULT_SIZE,
    ) -> None:
        self._twin = twin
        self._sizes = (patients, outpatients)
        self._say = say
        self._watch = watch
        self._timeout = timeout

    def play(self) -> Report:
        """Load what is not there yet, admit, and wait for the answers.

        Raises
        ------
        TwinError, SyntheaError, FilesAbsent, ImageStoreError
            The EHR or the archive refused something, or there was no history or study to load.
        """
        before = self._written()
        there = {feed: self._there(feed) for feed in FEEDS}
        new = {
            ADMISSIONS: self._admissions(there[ADMISSIONS]),
            OUTPATIENTS: self._visits(there[OUTPATIENTS]),
            THYROID_TESTS: self._tests(there[THYROID_TESTS]),
            STUDIES: self._studies(there[STUDIES]),
        }
        self._say("Registering the Subscriptions")
        for feed in FEEDS:
            self._twin.register_subscription(feed)
        if any(new.values()):
            self._say("; ".join(f"{len(new[feed])} {feed.title}" for feed in FEEDS))
        for feed in FEEDS:
            for bundle in new[feed]:
                self._twin.post_bundle(bundle)
        settled = self._twin.drain(self._timeout, sum(len(new[feed]) * len(feed.models) for feed in FEEDS), self._watch)
        for feed in FEEDS:
            if there[feed] or not settled:
                # From an earlier run, or a notification that never came: ask for a sweep.
                settled = self._sweep(feed)
        expected = sum((len(there[feed]) + len(new[feed])) * len(feed.models) for feed in FEEDS)
        return Report(Tally.of(self._twin), expected, self._written() - before, settled, self._measured())

    def _sweep(self, feed: Feed) -> bool:
        self._say(f"Asking for a sweep of the {feed.title} in the EHR")
        known = len(self._twin.ledger())
        self._twin.ping(feed)
        return self._twin.drain(self._timeout, known + 1, self._watch)

    def _admissions(self, there: set[str]) -> list[dict[str, Any]]:
        """Return the admissions that the EHR does not have; those it has must not get a new version."""
        now = datetime.now(UTC)
        cohort = draw_cohort(self._sizes[0], reference=now)
        new = [patient.bundle() for patient in cohort if f"{patient.patient_id}-admission" not in there]
        if synthea.ADMISSION_ID not in there:
            self._say("Generating a whole history with Synthea")
            history = synthea.generate_history()
            self._say(f"Loading its {len(history)} resources")
            for bundle in synthea.history_bundles(history):
                self._twin.post_bundle(bundle)
            new.append(synthea.admission_bundle(history, now))
        return new

    def _visits(self, there: set[str]) -> list[dict[str, Any]]:
        cohort = draw_outpatients(self._sizes[1], reference=datetime.now(UTC))
        return [patient.bundle() for patient in cohort if patient.visit_id not in there]

    def _tests(self, there: set[str]) -> list[dict[str, Any]]:
        cohort = draw_thyroid_patients(self._sizes[1], reference=datetime.now(UTC))
        return [patient.bundle() for patient in cohort if patient.report_id not in there]

    def _studies(self, there: set[str]) -> list[dict[str, Any]]:
        """Put every study into the archive, and return what the EHR is to be told of those that it does not have."""
        found = list(studies())
        new = [study for study in found if study.study_id not in there]
        if new:
            self._say(f"Storing {len(new)} studies in the archive ({self._twin.pacs.name})")
        for study in found:
            archive(study, self._twin.images)
        return [bundle_of(study, self._twin.images) for study in new]

    def _measured(self) -> tuple[Compared, ...]:
        query = {"_tag": f"{MODEL_TAG}|ecg", "subject": f"Patient/{ECG}", "_count": "100"}
        entries = self._search("Observation", query).get("entry", [])
        live = [entry["resource"] for entry in entries if entry["resource"].get("status") != "entered-in-error"]
        return compare(electrocardiogram(), live)

    def _there(self, feed: Feed) -> set[str]:
        kind, _, query = feed.criteria.partition("?")
        bundle = self._search(kind, {**dict(parse_qsl(query)), "_count": "1000"})
        return {str(entry["resource"]["id"]) for entry in bundle.get("entry", [])}

    def _written(self) -> int:
        counts = (
            self._search(feed.result, {"_tag": f"{MODEL_TAG}|{model}", "_summary": "count"})
            for feed in FEEDS
            for model in feed.models
        )
        return sum(int(found["total"]) for found in counts)

    def _search(self, kind: str, query: dict[str, str]) -> dict[str, Any]:
        response = self._twin.fhir.get(kind, params=query)
        if response.status_code >= 300:
            raise TwinError(f"the EHR answered a search for {kind} with status {response.status_code}")
        found: dict[str, Any] = response.json()
        return found


def quantile(values: list[float], share: float) -> float | None:
    """Return a quantile by linear interpolation, or None of nothing."""
    if len(values) < 2:
        return values[0] if values else None
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return round(cuts[round(share * 100) - 1], 1)
