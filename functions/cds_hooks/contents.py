"""From an answer to a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from fhir_adapter.cds_hooks import Card, Link, Reason, Source, Suggestion, shortened
from fhir_adapter.cds_hooks.cards import Indicator
from fhir_adapter.cds_hooks.markdown import bold, escaped, listed
from fhir_adapter.codes import OVERRIDE_REASON, RESULT_CODE, coding
from fhir_adapter.errors import InvalidResourceError
from fhir_adapter.prediction import Abstention, ModelIdentity, RiskAtHorizon
from fhir_adapter.tenants import Threshold
from functions.cds_hooks.identifiers import card_uuid
from functions.cds_hooks.proposals import Asked, Proposer
from functions.cds_hooks.told import Told
from functions.cds_hooks.words import Words

__all__ = ["OVERRIDE_REASON", "abstention_card", "prediction_card"]

# In a summary; the others are in the detail.
SUMMARISED = 2
NAMED_CONTRIBUTIONS = 4


def indicator_of(risks: Sequence[RiskAtHorizon], threshold: Threshold | None) -> Indicator:
    """Return how urgent a risk is: by the hospital's own threshold, else not at all."""
    if threshold is None:
        return "info"
    found = next((risk.probability for risk in risks if abs(risk.days - threshold.days) < 0.5), None)
    if found is None:
        return "info"
    if threshold.critical is not None and found >= threshold.critical:
        return "critical"
    return "warning" if threshold.warning is not None and found >= threshold.warning else "info"


def prediction_card(asked: Asked, ordered: Sequence[str], proposers: Sequence[Proposer]) -> Card:
    """Return the card of a prediction.

    Parameters
    ----------
    asked : Asked
        Its `summary` and `indicator` are filled in here.
    ordered : sequence of str
        What a selected order has to do with it.
    proposers : sequence of Proposer
        Who may add suggestions.
    """
    words, told, model = asked.words, asked.told, asked.told.model
    settings = asked.tenant.cds_hooks
    assert settings is not None
    indicator = indicator_of(told.risks, settings.thresholds.get(model.name))
    summary = shortened(words.summary(model, _first_and_last(told.risks), words.start(told.since, told.after_stay)))
    asked = replace(asked, indicator=indicator, summary=summary)
    return Card(
        uuid=asked.uuid("card"),
        summary=summary,
        indicator=indicator,
        source=_source(model, words),
        detail=_detail(told, words, ordered),
        suggestions=_suggestions(asked, proposers),
        selection="any",
        links=_links(asked),
        overrides=_reasons(words),
    )


def abstention_card(asked: Asked, abstention: Abstention) -> Card:
    """Return the card that says why there is no prediction."""
    model, words = asked.told.model, asked.words
    return Card(
        uuid=card_uuid(model, asked.tenant.name, asked.service, asked.request.instance, "abstention"),
        summary=shortened(words.no_prediction(model)),
        indicator="info",
        source=_source(model, words),
        detail=escaped(words.why_not(abstention)),
        links=_links(asked),
    )


def _first_and_last(risks: Sequence[RiskAtHorizon]) -> Sequence[RiskAtHorizon]:
    return risks if len(risks) <= SUMMARISED else (risks[0], risks[-1])


def _source(model: ModelIdentity, words: Words) -> Source:
    label = f"Bedside{words.colon}{words.title(model)} {model.version}"
    return Source(label, coding(RESULT_CODE, model.name, words.title(model)))


def _detail(told: Told, words: Words, ordered: Sequence[str]) -> str:
    """The whole answer as Markdown: every horizon, what moved it, how sure one may be."""
    model = told.model
    start = words.start(told.since, told.after_stay)
    parts = [bold(escaped(words.heading(model, start))), _risks(told.risks, words)]
    if told.competing:
        parts += [bold(escaped(words.competing_heading(model))), _risks(told.competing, words)]
    if ordered:
        parts.append(escaped(words.ordered(ordered)))
    moved = words.moved([item for item in told.contributions if item.effect][:NAMED_CONTRIBUTIONS], told.rationale)
    if moved:
        parts.append(escaped(moved))
    stands = [words.as_of(told.as_of)] if told.as_of else []
    stands.append(words.confirmed if told.confirmed else words.not_confirmed)
    if told.result is None:
        stands.append(words.just_now)
    if told.after_stay:
        stands.insert(0, words.after_stay)
    parts.append(escaped(words.space.join(stands)))
    parts += [escaped(text) for text in (words.status(model), words.mitigation(model)) if text]
    return "\n\n".join(parts)


def _risks(risks: Sequence[RiskAtHorizon], words: Words) -> str:
    lines = []
    for risk in risks:
        horizon, told, interval = (escaped(text) for text in words.risk(risk))
        lines.append(f"{horizon}{words.colon}{bold(told)}" + (f" ({interval})" if interval else ""))
    return listed(lines)


def _suggestions(asked: Asked, proposers: Sequence[Proposer]) -> tuple[Suggestion, ...]:
    """What is proposed; a proposal that would not be valid FHIR is left out, and the card stands without it."""
    found: list[Suggestion] = []
    for proposer in proposers:
        try:
            found.extend(proposer.propose(asked))
        except InvalidResourceError:
            continue
    return tuple(found)


def _links(asked: Asked) -> tuple[Link, ...]:
    """The way to the right view of the app; what it is told names the model and the result, and nobody."""
    settings = asked.tenant.cds_hooks
    if settings is None or settings.launch_url is None:
        return ()
    context = {"view": "result", "model": asked.told.model.name, "hook": asked.request.hook}
    if asked.told.result:
        context["result"] = asked.told.result
    return (Link(asked.words.open_app, settings.launch_url, "smart", orjson.dumps(context).decode()),)


def _reasons(words: Words) -> tuple[Reason, ...]:
    return tuple(Reason(code, OVERRIDE_REASON, display) for code, display in words.reasons.items())
