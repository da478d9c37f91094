"""Cards in English; every other language overrides what it says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import ClassVar

from fhir_adapter.prediction import Abstention, Contribution, ModelIdentity, RiskAtHorizon

__all__ = ["English", "Words"]

DAYS_PER_YEAR = 365


class English:
    """The words.

    Parameters
    ----------
    zone : tzinfo
        The tenant's, in which times are told.
    """

    language = "en"
    titles: ClassVar[Mapping[str, str]] = {
        "patient-view": "Predicted risk",
        "order-select": "Predicted risk, where an order bears on it",
        "encounter-discharge": "Predicted risk after the stay",
        "appointment-book": "Predicted risk, for planning visits",
    }
    requirements = (
        "Send the prefetch, or fhirServer and fhirAuthorization that may read the same. Name the encounter where there "
        "is one; without it, stored predictions alone are told."
    )
    open_app = "Open in Bedside"
    not_confirmed = "Preliminary, made by AI; not confirmed by a clinician."
    confirmed = "Made by AI; confirmed by a clinician."
    after_stay = "Of patients who lived to the end of the stay without it."
    just_now = "Worked out just now; not yet on record."
    reasons: ClassVar[Mapping[str, str]] = {
        "known": "Already known",
        "not-applicable": "Does not apply to this patient",
        "data-wrong": "The data behind it are wrong",
        "disagree": "I judge otherwise",
    }
    comma, colon, space = ", ", ": ", " "
    below, above = "under 0.1%", "over 99%"

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    # -- names --

    def title(self, model: ModelIdentity) -> str:
        """What a model answers."""
        return model.title

    def outcome(self, model: ModelIdentity) -> str:
        """The predicted event."""
        return model.outcome_text

    def competing(self, model: ModelIdentity) -> str:
        """The event that may come first."""
        return model.competing_text

    def input_name(self, name: str, display: str) -> str:  # noqa: ARG002 - contracts are in English
        """What an input is called."""
        return display

    def status(self, model: ModelIdentity) -> str:
        """Its regulatory status."""
        return f"{model.status[:1].upper()}{model.status[1:].rstrip('.')}."

    def mitigation(self, model: ModelIdentity) -> str:
        """What may be done about the risk."""
        return model.mitigation

    # -- services --

    def service_title(self, hook: str) -> str:
        """Return a service's title."""
        return f"Bedside: {self.titles[hook]}"

    def service_description(self, hook: str, models: Sequence[ModelIdentity]) -> str:
        """Return what a service tells."""
        told = "; ".join(self.title(model) for model in models)
        return f"{self.titles[hook]}: {told}. Research use only; not a medical device."

    # -- numbers and times --

    def percent(self, probability: float) -> str:
        """Return a probability in percent with the digits that matter, and never as certain."""
        value = 100 * probability
        if value < 0.1 or value > 99:
            return self.below if value < 1 else self.above
        return f"{value:.1f}%" if value < 9.95 else f"{value:.0f}%"

    def horizon(self, days: float) -> str:
        """Return a horizon in years where it is whole years, else in days."""
        years, rest = divmod(days, DAYS_PER_YEAR)
        if rest or not years:
            return f"{days:g} days" if days != 1 else "1 day"
        return "1 year" if years == 1 else f"{years:g} years"

    def day(self, at: datetime) -> str:
        """Return a day of the tenant's calendar."""
        return f"{at.astimezone(self._zone):%Y-%m-%d}"

    def time(self, at: datetime) -> str:
        """Return an instant on the tenant's clock."""
        return f"{at.astimezone(self._zone):%Y-%m-%d %H:%M}"

    # -- a risk --

    def start(self, since: datetime | None, after_stay: bool) -> str:
        """Return from when horizons count; empty where that is not known."""
        return "the end of the stay" if after_stay else self.day(since) if since else ""

    def summary(self, model: ModelIdentity, risks: Sequence[RiskAtHorizon], start: str) -> str:
        """Return a prediction in one sentence."""
        told = self.comma.join(f"{self.percent(risk.probability)} within {self.horizon(risk.days)}" for risk in risks)
        return f"{self.outcome(model)}: {told}{f' of {start}' if start else ''}"

    def risk(self, risk: RiskAtHorizon) -> tuple[str, str, str]:
        """Return horizon, risk and interval."""
        low, high = (self.percent(bound) for bound in risk.interval) if risk.interval else ("", "")
        interval = f"95% interval {low} to {high}" if risk.interval else ""
        return f"within {self.horizon(risk.days)}", self.percent(risk.probability), interval

    def heading(self, model: ModelIdentity, start: str) -> str:
        """Return what the list of risks is about."""
        return f"{self.outcome(model)}{f', counted from {start}' if start else ''}"

    def competing_heading(self, model: ModelIdentity) -> str:
        """Return what the second list is about."""
        return f"Competing event: {self.competing(model)}"

    def moved(self, contributions: Sequence[Contribution], rationale: str) -> str:
        """Return what moved the risk most; empty when nothing is known."""
        named = [
            f"{item.display} {item.value} {'raises' if item.effect > 0 else 'lowers'} the risk"
            for item in contributions
        ]
        told = "; ".join(named) or rationale
        return f"What moved it most: {told}." if told else ""

    def as_of(self, at: datetime) -> str:
        """Return until when the record was looked at."""
        return f"From what was on record until {self.time(at)}."

    def ordered(self, names: Sequence[str]) -> str:
        """Return why an order brought this card."""
        return f"The selected order bears on this prediction: {', '.join(names)}. Its result will renew it."

    # -- no prediction --

    def no_prediction(self, model: ModelIdentity) -> str:
        """Return that there is none."""
        return f"No prediction: {self.title(model)}"

    def why_not(self, abstention: Abstention) -> str:
        """Return why there is none."""
        return abstention.detail

    # -- suggestions --

    def flag_label(self) -> str:
        """Return the label of the suggestion to raise a flag."""
        return "Flag the risk in the record"

    def flag_text(self, told: str) -> str:
        """Return what the flag says."""
        return f"{told} (predicted by AI, preliminary)"

    def attach_label(self) -> str:
        """Return the label of the suggestion to attach the prediction."""
        return "Attach the prediction to the appointment"


Words = English
