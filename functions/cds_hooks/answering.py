"""One call, from the record to cards.

What is stored and fresh is told, and the rest is worked out, where the call names an encounter to work it out for:

=====================  ==================================================================================
hook                   cards
=====================  ==================================================================================
``patient-view``       the risks of every model the patient is one of
``order-select``       the same, of models that a selected order bears on: it orders one of a model's inputs,
                       or is for the reason that puts a patient into its population. Any other order has
                       nothing to do with a model, and nothing is said and nothing read
``encounter-discharge``  the risks after the stay, of those who lived to its end (:func:`after_stay`)
``appointment-book``   the risks; where the hospital calls one high, with suggestions (:class:`PlanVisits`)
=====================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fhir_adapter.cds_hooks import Card, HookRequest, PrefetchMissing
from fhir_adapter.cds_hooks.prefetch import ANSWERS, CONDITIONS, ENCOUNTER, OBSERVATIONS, PATIENT, RESULTS
from fhir_adapter.codes import Json
from fhir_adapter.evidence.supersede import Earlier
from fhir_adapter.features import ConditionInput, ObservationInput, Selection, index_time_of
from fhir_adapter.features.record import moment
from fhir_adapter.prediction import Abstention, Prediction
from fhir_adapter.tenants import Tenant
from functions.cds_hooks.chart import Chart
from functions.cds_hooks.contents import abstention_card, prediction_card
from functions.cds_hooks.proposals import Asked, Proposer
from functions.cds_hooks.services import Service
from functions.cds_hooks.stored import abstained, newest, told_from
from functions.cds_hooks.told import Told, after_stay, told_of
from functions.cds_hooks.words import Words
from functions.serving.answering import from_record
from functions.serving.endings import passes_over
from functions.serving.package import Model
from functions.serving.reading import Read

__all__ = ["Answer", "Call", "answer"]

Ordered = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Call:
    """One call of a service.

    Parameters
    ----------
    tenant : Tenant
    service : Service
    request : HookRequest
    chart : Chart
    words : Words
    proposers : sequence of Proposer
    now : datetime
    """

    tenant: Tenant
    service: Service
    request: HookRequest
    chart: Chart
    words: Words
    proposers: Sequence[Proposer] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Answer:
    """What is answered, and how it was come by.

    Parameters
    ----------
    cards : tuple of Card
    stored, computed : int
        Predictions that were read, and that were worked out.
    """

    cards: tuple[Card, ...]
    stored: int = 0
    computed: int = 0


def answer(call: Call) -> Answer:
    """Answer a call.

    Raises
    ------
    PrefetchMissing
        Nothing can be told without data that were neither sent nor can be read.
    OutOfTime
    """
    models, ordered = _models(call)
    if not models:
        return Answer(())
    said = _stored(call, models)
    stored = sum(isinstance(one, Told) for one in said.values())
    waiting = [model for model in models if _name(model) not in said and not _answered_with(call, model, said)]
    computed = _computed(call, waiting, needed=not said)
    said |= computed
    cards = [_card(call, model, said[_name(model)], ordered) for model in models if _name(model) in said]
    told = tuple(card for card in cards if card is not None)
    return Answer(told, stored, sum(isinstance(one, Told) for one in computed.values()))


def _name(model: Model) -> str:
    return model.package.identity.name


# -- what an order has to do with a model --


def _models(call: Call) -> tuple[list[Model], Ordered]:
    """Return the models that have something to say, and what of a selected order brought them up."""
    if call.request.hook != "order-select":
        return list(call.service.models), {}
    ordered = {_name(model): _touched(model, call.request, call.words) for model in call.service.models}
    return [model for model in call.service.models if ordered[_name(model)]], ordered


def _touched(model: Model, request: HookRequest, words: Words) -> list[str]:
    """Return the names of a model's inputs, and of its population, that selected orders are about."""
    package, gate = model.package, model.package.applies_if.condition
    found: dict[str, None] = {}
    for order in request.context.selected:
        what = [order.get(key) for key in ("code", "codeCodeableConcept", "medicationCodeableConcept")]
        why = order.get("reasonCode") or []
        for item in package.inputs:
            if isinstance(item, ObservationInput) and any(item.searched.has(code) for code in what):
                found[words.input_name(item.name, item.display)] = None
        if isinstance(gate, ConditionInput) and isinstance(why, list) and any(gate.codes.has(code) for code in why):
            found[words.title(package.identity)] = None
    return list(found)


# -- what is stored --


def _stored(call: Call, models: Sequence[Model]) -> dict[str, Told | Abstention]:
    """Return the predictions on record that are fresh, by model; and the abstentions, where they are to be told."""
    chart, settings = call.chart, call.tenant.cds_hooks
    assert settings is not None
    chart.obtain((RESULTS, ENCOUNTER, ANSWERS), optional=(RESULTS, ENCOUNTER, ANSWERS))
    encounter = _encounter(call)
    if encounter is None and call.request.context.encounter is not None:
        return {}
    found: dict[str, Told | Abstention] = {}
    for model in models:
        identity = model.package.identity
        result = newest(chart.get(RESULTS), identity, encounter, call.now, settings.stored_days)
        said: Told | Abstention | None = told_from(result, identity, chart.get(ANSWERS)) if result else None
        if isinstance(said, Told) and call.request.hook == "encounter-discharge":
            said = _after_stay(call, said)
        if said is None and settings.abstentions:
            said = abstained(chart.get(ANSWERS), identity, encounter)
        if said is not None:
            found[identity.name] = said
    return found


def _answered_with(call: Call, model: Model, stored: Mapping[str, Told | Abstention]) -> bool:
    """Return whether a model was asked together with one that has answered.

    A subscription that names several models asks them all, and one that a patient is none of writes nothing. So where
    one of them has a fresh answer, the silence of the others is an answer too.
    """
    name = _name(model)
    return any(name in entry.models and set(entry.models) & set(stored) for entry in call.tenant.subscriptions.values())


def _encounter(call: Call) -> Json | None:
    return next(iter(call.chart.get(ENCOUNTER)), None)


# -- what is worked out --


def _computed(call: Call, models: Sequence[Model], *, needed: bool) -> dict[str, Told | Abstention]:
    """Return the answers of models that are worked out now; none where the call names no encounter.

    Parameters
    ----------
    needed : bool
        Whether there is nothing else to tell, so that data which cannot be had are the caller's concern.
    """
    if not models or call.request.context.encounter is None:
        return {}
    try:
        call.chart.obtain(call.service.inputs)
    except PrefetchMissing:
        if needed:
            raise
        return {}
    return {_name(model): _worked_out(call, model) for model in models}


def _worked_out(call: Call, model: Model) -> Told | Abstention:
    """Work out a prediction as the worker would, from the same resources."""
    chart, package = call.chart, model.package
    (person,), (encounter,) = chart.get(PATIENT), chart.get(ENCOUNTER)
    record = Selection.of(package.inputs, package.applies_if).record(
        person, encounter, (*chart.get(OBSERVATIONS), *chart.get(CONDITIONS)), call.tenant.zone
    )
    focus = record.encounter or encounter
    read = Read(
        record=record,
        patient=f"Patient/{call.request.context.patient}",
        earlier=Earlier(),
        device_known=True,
        card_known=True,
        asked=(),
        focus=focus,
        encounter=f"Encounter/{encounter['id']}",
        about=None,
        index_time=index_time_of(focus, call.tenant.zone),
        notified=focus,
    )
    answered = from_record(read, call.tenant, model)
    if isinstance(answered.result, Prediction):
        told = told_of(answered.result, package.identity, read.index_time, answered.context.data_until)
        return (_after_stay(call, told) or told) if call.request.hook == "encounter-discharge" else told
    assert isinstance(answered.result, Abstention)
    return answered.result


def _after_stay(call: Call, told: Told) -> Told | None:
    """Return the risks after a stay that ends now, or ended when the encounter says."""
    encounter = _encounter(call) or {}
    start = index_time_of(encounter, call.tenant.zone)
    end = moment((encounter.get("period") or {}).get("end"), call.tenant.zone) or call.now
    return after_stay(told, max((end - start) / timedelta(days=1), 0.0)) if start else None


# -- cards --


def _card(call: Call, model: Model, said: Told | Abstention, ordered: Ordered) -> Card | None:
    """Return the card of a model; none for a patient who is none of its own, or where silence is preferred."""
    settings = call.tenant.cds_hooks
    if isinstance(said, Told):
        return prediction_card(_asked(call, said), ordered.get(_name(model), ()), call.proposers)
    not_ours = len(call.service.models) > 1 and passes_over(said, model.package)
    if not_ours or settings is None or not settings.abstentions:
        return None
    return abstention_card(_asked(call, Told(model=model.package.identity, risks=())), said)


def _asked(call: Call, told: Told) -> Asked:
    return Asked(call.tenant, call.service.id, call.request, told, "info", "", call.words, call.now)
