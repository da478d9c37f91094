"""What the demo does: admit a cohort to the twin's hospital and see every admission answered."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_adapter.codes import MODEL_TAG
from infra.local import synthea
from infra.local.cohort import draw_cohort
from infra.local.twin import Twin, TwinError

MODEL = "whas500"
ANSWERED = frozenset({"predicted", "abstained", "duplicate"})


@dataclass(frozen=True)
class Tally:
    """How the events so far ended.

    Parameters
    ----------
    events, predictions, abstentions, duplicates, failures, dead_letters : int
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

    @classmethod
    def of(cls, twin: Twin) -> Tally:
        """Count what the ledger says now; sweeps are not events of a patient."""
        entries = [entry for entry in twin.ledger() if entry.get("outcome") != "sweep"]
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
        )


@dataclass(frozen=True)
class Report:
    """What one run of the demo came to.

    Parameters
    ----------
    tally : Tally
    admissions : int
        Admissions in the EHR that had to be answered.
    written : int
        RiskAssessments in the EHR now that were not there before.
    settled : bool
        Whether the queue was empty in time.
    """

    tally: Tally
    admissions: int
    written: int
    settled: bool

    @property
    def complete(self) -> bool:
        """Whether every admission ended in a result or in a recorded abstention, in this run or before."""
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
        }


class Demonstration:
    """The demo on a running twin.

    Parameters
    ----------
    twin : Twin
    patients : int
        Size of the cohort; the Synthea patient comes on top.
    say : callable
        Told, in a few words, what is being done.
    watch : callable, optional
        Called again and again while events are answered.
    timeout : float
        Seconds to wait for the answers, before and again after the sweep.
    """

    def __init__(
        self,
        twin: Twin,
        patients: int,
        say: Callable[[str], None],
        watch: Callable[[], None] | None = None,
        timeout: float = 120.0,
    ) -> None:
        self._twin = twin
        self._patients = patients
        self._say = say
        self._watch = watch
        self._timeout = timeout

    def play(self) -> Report:
        """Load what is not there yet, admit, and wait for the answers.

        Raises
        ------
        TwinError, SyntheaError
            The EHR refused something, or there was no history to load.
        """
        before = self._written()
        there = self._admitted()
        new = self._bundles(there)
        self._say("Registering the Subscription")
        self._twin.register_subscription()
        if new:
            self._say(f"Admitting {len(new)} patients")
        for bundle in new:
            self._twin.post_bundle(bundle)
        settled = self._twin.drain(self._timeout, len(new), self._watch)
        if there or not settled:
            # Admissions from an earlier run, or a notification that never came: ask for a sweep.
            self._say("Asking for a sweep of the admissions in the EHR")
            known = len(self._twin.ledger())
            self._twin.ping()
            settled = self._twin.drain(self._timeout, known + 1, self._watch)
        return Report(
            tally=Tally.of(self._twin),
            admissions=len(there) + len(new),
            written=self._written() - before,
            settled=settled,
        )

    def _bundles(self, there: set[str]) -> list[dict[str, Any]]:
        """Return the admissions that the EHR does not have; those it has must not get a new version."""
        now = datetime.now(UTC)
        cohort = draw_cohort(self._patients, reference=now)
        new = [patient.bundle() for patient in cohort if f"{patient.patient_id}-admission" not in there]
        if synthea.ADMISSION_ID not in there:
            self._say("Generating a whole history with Synthea")
            history = synthea.generate_history()
            self._say(f"Loading its {len(history)} resources")
            for bundle in synthea.history_bundles(history):
                self._twin.post_bundle(bundle)
            new.append(synthea.admission_bundle(history, now))
        return new

    def _admitted(self) -> set[str]:
        bundle = self._search("Encounter", {"class": "IMP", "_count": "1000"})
        return {str(entry["resource"]["id"]) for entry in bundle.get("entry", [])}

    def _written(self) -> int:
        return int(self._search("RiskAssessment", {"_tag": f"{MODEL_TAG}|{MODEL}", "_summary": "count"})["total"])

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
