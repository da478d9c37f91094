"""What one answer's evidence costs: building and checking it, against validating the same resources once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import process_time_ns
from typing import Any

__all__ = ["measure"]


def measure(rounds: int = 300) -> dict[str, Any]:
    """Time the whole transaction of a prediction and a bare validation of its resources, interleaved.

    Ours builds every resource (the model card included), validates it by the R4B models of ``fhir.resources`` and
    evaluates the invariants and bindings; the floor is that library's validation alone. CPU time, so that what else
    the machine does counts for neither.

    Parameters
    ----------
    rounds : int
        Transactions of each.

    Returns
    -------
    dict
        ``evidence_p50_us`` and ``validation_p50_us`` (medians in microseconds of CPU), ``ratio`` (ours over the
        floor), ``without_model_ratio`` (as for every answer but the first: the EHR has the Device and the card),
        ``resources`` in the whole transaction, and ``rounds``.
    """
    from fhir.resources.R4B import get_fhir_model_class

    from fhir_adapter.evidence import evidence_of

    answer, context, model = _sample()

    def ours(known: bool) -> Any:
        return evidence_of(answer, context, model, device_known=known, card_known=known)

    def floor(resources: list[Any]) -> None:
        for resource in resources:
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)

    whole, usual = ([entry["resource"] for entry in ours(known).bundle["entry"]] for known in (False, True))
    timings: dict[str, list[int]] = {"ours": [], "floor": [], "ours usual": [], "floor usual": []}
    for number in range(-20, rounds):
        taken = {
            "ours": _timed(lambda: ours(False)),
            "floor": _timed(lambda: floor(whole)),
            "ours usual": _timed(lambda: ours(True)),
            "floor usual": _timed(lambda: floor(usual)),
        }
        if number >= 0:
            for name, value in taken.items():
                timings[name].append(value)
    medians = {name: sorted(series)[len(series) // 2] / 1000.0 for name, series in timings.items()}
    return {
        "evidence_p50_us": round(medians["ours"], 1),
        "validation_p50_us": round(medians["floor"], 1),
        "ratio": round(medians["ours"] / medians["floor"], 2),
        "without_model_ratio": round(medians["ours usual"] / medians["floor usual"], 2),
        "resources": len(whole),
        "rounds": rounds,
    }


def _timed(work: Callable[[], Any]) -> int:
    started = process_time_ns()
    work()
    return process_time_ns() - started


def _sample() -> tuple[Any, Any, Any]:
    """A prediction as the shipped model gives it: four horizons, a weekly curve, fifteen sources."""
    from fhir_adapter.prediction import Contribution, Prediction, ResultContext, RiskAtHorizon, SurvivalCurve
    from fhir_adapter.references import Source
    from functions.serving.package import load_package

    model = load_package(Path(__file__).parents[2] / "functions" / "survival" / "packages" / "whas500").identity
    kinds = ("Patient", "Encounter", *["Observation"] * 5, *["Condition"] * 8)
    sources = tuple(Source(f"{kind}/{at}/_history/1", f"{kind}/{at}@1") for at, kind in enumerate(kinds))
    answer = Prediction(
        risks=tuple(RiskAtHorizon(days, days / 4000) for days in (30, 180, 365, 1095)),
        curve=SurvivalCurve(7, tuple(1 - at / 1000 for at in range(263))),
        contributions=tuple(Contribution(f"i{at}", f"Input {at}", f"{at} mm[Hg]", 1 - at / 5) for at in range(10)),
    )
    at = datetime(2026, 1, 10, 8, tzinfo=UTC)
    context = ResultContext(
        tenant="general",
        organization="General Hospital",
        patient="Patient/0",
        encounter="Encounter/1",
        index_time=at,
        sources=sources,
        fingerprints=tuple(source.fingerprint for source in sources),
        condition="Condition/7",
        data_until=at,
    )
    return answer, context, model
