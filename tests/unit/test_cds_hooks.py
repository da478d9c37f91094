"""The parts of CDS Hooks one by one: cards, Markdown, settings, prefetch, times, identifiers, the deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from fhir_adapter.cds_hooks import (
    Action,
    Card,
    Link,
    MemoryReplays,
    Reason,
    Source,
    Suggestion,
    parse_request,
    response,
)
from fhir_adapter.cds_hooks.cards import compact, shortened
from fhir_adapter.cds_hooks.markdown import escaped
from fhir_adapter.cds_hooks.replay import replay_key
from fhir_adapter.client import FhirClient
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.prediction import ModelIdentity, RiskAtHorizon
from fhir_adapter.retry import RetryPolicy
from fhir_adapter.tenants import CdsClient, CdsHooks, Tenant, Threshold
from functions.cds_hooks.chart import Chart
from functions.cds_hooks.contents import indicator_of
from functions.cds_hooks.deadline import Budget, OutOfTime, in_time
from functions.cds_hooks.identifiers import card_uuid, model_of
from functions.cds_hooks.services import Offer
from functions.cds_hooks.told import Curves, Told, after_stay
from functions.cds_hooks.words import words_for
from functions.serving.names import INPUTS_ZH, MODELS_ZH, speaks_chinese
from tests import cds
from tests.cds import MODELS, settings
from tests.fakes import BASE
from tests.samples import tenant_json

Json = dict[str, Any]
IDENTITY = MODELS["whas500"].package.identity
COMPETING = MODELS["mgus2"].package.identity


# -- cards --


def card(**more: Any) -> Card:
    return Card(**{"uuid": "u", "summary": "s", "indicator": "info", "source": Source("l"), **more})


CREATE = Action("create", "d", {"resourceType": "Flag"})


@pytest.mark.conformance("F20", "F21", "F22", "F23")
@pytest.mark.parametrize(
    "make",
    [
        lambda: card(summary="x" * 140),
        lambda: card(summary=""),
        lambda: card(uuid=""),
        lambda: card(indicator="urgent"),
        lambda: card(detail="a <b>"),
        lambda: card(
            suggestions=(Suggestion("a", "1", (CREATE,), True), Suggestion("b", "2", (CREATE,), True)),
        ),
        lambda: Source(""),
        lambda: Link("l", ""),
        lambda: Link("l", "https://a.test", "absolute", "context"),
        lambda: Suggestion("", "1", ()),
        lambda: Suggestion("a", "", ()),
        lambda: Action("create", "d"),
        lambda: Action("update", "", {"resourceType": "Flag"}),
        lambda: Action("delete", "d"),
        lambda: Action("delete", "d", {"resourceType": "Flag"}, "Flag/1"),
        lambda: Reason("c", "", "d"),
    ],
)
def test_what_is_not_a_card_cannot_be_made(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


@pytest.mark.conformance("F21", "F24")
def test_a_card_says_how_its_suggestions_are_chosen_and_nothing_is_done_by_itself() -> None:
    recommended = Suggestion("a", "1", (CREATE,), True)
    one = card(suggestions=(recommended, Suggestion("b", "2", (CREATE,))))
    whole = response([one, card(suggestions=(recommended, recommended), selection="any"), card()])
    assert set(whole) == {"cards"}, "no systemActions"
    assert [item.get("selectionBehavior") for item in whole["cards"]] == ["at-most-one", "any", None]


@pytest.mark.conformance("F03")
def test_what_has_no_value_is_left_out() -> None:
    assert compact({"a": None, "b": "", "c": [], "d": {"e": {}}, "f": 0, "g": False}) == {"f": 0, "g": False}


@pytest.mark.parametrize("text", ["word " * 60, "x" * 300, "全因死亡" * 60, "short"])
def test_a_summary_is_cut_below_its_limit(text: str) -> None:
    assert len(shortened(text)) < 140
    assert (shortened(text) == text) is (len(text) < 140)


@pytest.mark.conformance("F20")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <img src=x onerror=y> b", "a &lt;img src=x onerror=y&gt; b"),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("*bold* _it_ `code` ~no~", "\\*bold\\* \\_it\\_ \\`code\\` \\~no\\~"),
        ("[x](https://evil.test)", "\\[x\\](https\\://evil.test)"),
        ("![x](y)", "!\\[x\\](y)"),
        ("www.evil.test and a@evil.test", "www\\.evil.test and a\\@evil.test"),
        ("# head\n\n- list | cell \\", "\\# head - list \\| cell \\\\"),
        ("120 mm[Hg], 7.4", "120 mm\\[Hg\\], 7.4"),
    ],
)
def test_text_of_others_is_shown_as_it_is(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("probability", "threshold", "indicator"),
    [
        (0.3, None, "info"),
        (0.3, Threshold(30, warning=0.2), "warning"),
        (0.1, Threshold(30, warning=0.2), "info"),
        (0.3, Threshold(30, warning=0.2, critical=0.3), "critical"),
        (0.3, Threshold(365, warning=0.2), "info"),
    ],
)
def test_only_the_hospital_says_what_is_high(probability: float, threshold: Threshold | None, indicator: str) -> None:
    assert indicator_of([RiskAtHorizon(30, probability)], threshold) == indicator


# -- settings --


def test_settings_are_read_with_what_is_usual() -> None:
    found = Tenant.from_dict({**tenant_json(models=["whas500", "pbc"]), "cds_hooks": settings()}).cds_hooks
    assert found is not None
    assert found.groups == {"risk": ("whas500", "pbc")}
    assert found.clients == (CdsClient(cds.ISS, cds.JKU),)
    usual = Tenant.from_dict({**tenant_json(), "cds_hooks": {"clients": settings()["clients"]}}).cds_hooks
    assert isinstance(usual, CdsHooks)
    assert (usual.deadline_ms, usual.abstentions, usual.comments, usual.public_discovery) == (400, False, False, False)
    assert Tenant.from_dict(tenant_json()).cds_hooks is None


@pytest.mark.conformance("F40", "F41", "F43")
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"clients": []}, "clients"),
        ({"clients": [{"iss": "i"}]}, "jku or jwks"),
        ({"clients": [{"iss": "i", "jku": cds.JKU, "jwks": {"keys": []}}]}, "jku or jwks"),
        ({"clients": [{"iss": "", "jku": cds.JKU}]}, "iss"),
        ({"clients": [{"iss": "i", "jku": "http://ehr.test/jwks"}]}, "https"),
        ({"clients": [{"iss": "i", "jwks": {"keys": "none"}}]}, "jwks"),
        ({"clients": [{"iss": "i", "jwks": {"keys": [cds.EC.as_dict(private=True)]}}]}, "secret"),
        ({"clients": [{"iss": "i", "jku": cds.JKU, "algs": ["HS256"]}]}, "algs"),
        ({"clients": [{"iss": "i", "jku": cds.JKU, "tenant": 1}]}, "tenant"),
        ({"clients": [{"iss": "i", "jku": cds.JKU, "keyset": 1}]}, "keyset"),
        ({"clients": cds.ISS}, "array"),
        ({"url": "http://cds.test"}, "https"),
        ({"launch_url": "http://app.test"}, "https"),
        ({"origins": ["*"]}, "origins"),
        ({"origins": ["https://a.test/path"]}, "origins"),
        ({"hooks": ["order-sign"]}, "hooks"),
        ({"hooks": []}, "hooks"),
        ({"groups": {"A B": ["whas500"]}}, "groups"),
        ({"groups": {"a": "whas500"}}, "groups"),
        ({"deadline_ms": 5}, "deadline_ms"),
        ({"deadline_ms": True}, "deadline_ms"),
        ({"abstentions": "yes"}, "abstentions"),
        ({"thresholds": {"whas500": {"days": 30}}}, "thresholds"),
        ({"thresholds": {"whas500": {"days": 30, "warning": 20}}}, "thresholds"),
        ({"thresholds": {"whas500": {"days": 0, "warning": 0.2}}}, "days"),
        ({"thresholds": {"whas500": {"days": 30, "warning": 0.5, "critical": 0.2}}}, "thresholds"),
        ({"dead_line": 1}, "dead_line"),
    ],
)
def test_settings_that_are_wrong_are_told_by_their_key(wrong: Json, word: str) -> None:
    with pytest.raises(ConfigurationError, match=f"tenant 'general'.*{word}"):
        Tenant.from_dict({**tenant_json(), "cds_hooks": {**settings(), **wrong}})


def test_services_are_made_again_when_the_tenant_changes() -> None:
    offer = Offer(MODELS)
    first, _ = offer.of(cds.tenant())
    again, _ = offer.of(cds.tenant())
    assert first is again
    changed, words = offer.of(cds.tenant(hooks=["patient-view"], locale="zh"))
    assert (list(changed), words.language) == (["risk-patient-view"], "zh")


# -- tokens used --


@pytest.mark.conformance("F44")
def test_a_token_counts_once_until_it_ends() -> None:
    replays = MemoryReplays()
    assert replays.first("k", 1000.0, 900.0)
    assert not replays.first("k", 1000.0, 1000.0)
    assert replays.first("k", 2000.0, 1001.0)
    assert replay_key("a", "b", "c") != replay_key("a", "bc", "")


@pytest.mark.conformance("F44")
def test_of_many_at_once_one_is_the_first() -> None:
    replays, start, won = MemoryReplays(), threading.Barrier(8), []

    def use() -> None:
        start.wait()
        won.append(replays.first("k", 1000.0, 900.0))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


# -- what is told --


def told(free: tuple[float, ...], competing: tuple[float, ...] = (), step: float = 10.0) -> Told:
    others = (RiskAtHorizon(10, 0.1),) if competing else ()
    model: ModelIdentity = COMPETING if competing else IDENTITY
    return Told(model, (RiskAtHorizon(10, 0.1), RiskAtHorizon(100, 0.2)), others, Curves(step, free, competing))


def test_risks_after_a_stay_are_conditional_on_having_lived_to_its_end() -> None:
    found = after_stay(told((1.0, 0.8, 0.6, 0.5)), 10.0)
    assert found is not None and found.after_stay
    # horizons beyond the curve are left out
    assert [(risk.days, risk.probability) for risk in found.risks] == [(10, pytest.approx(0.25))]
    between = after_stay(told((1.0, 0.8, 0.6, 0.5)), 5.0)
    assert between is not None
    assert between.risks[0].probability == pytest.approx((0.9 - 0.7) / 0.9)
    none = after_stay(told((1.0, 0.8, 0.6)), 0.0)
    assert none is not None and none.risks[0].probability == pytest.approx(0.2)


def test_a_competing_event_is_taken_off_those_who_are_left() -> None:
    found = after_stay(told((1.0, 0.9, 0.8), (0.0, 0.1, 0.3)), 10.0)
    assert found is not None
    assert found.risks[0].probability == pytest.approx(0.1 / 0.8)
    assert found.competing[0].probability == pytest.approx(0.2 / 0.8)


@pytest.mark.parametrize(("free", "days"), [((1.0, 0.8), 30.0), ((1.0, 0.005, 0.004), 10.0), ((1.0, 0.8, 0.6), 19.0)])
def test_after_too_long_a_stay_nothing_is_told(free: tuple[float, ...], days: float) -> None:
    assert after_stay(told(free), days) is None
    assert after_stay(Told(IDENTITY, (RiskAtHorizon(10, 0.1),)), 1.0) is None


@pytest.mark.parametrize(
    ("probability", "english", "chinese"),
    [
        (0.0, "under 0.1%", "低于0.1%"),
        (0.0123, "1.2%", "1.2%"),
        (0.0996, "10%", "10%"),
        (0.5, "50%", "50%"),
        (0.999, "over 99%", "高于99%"),
    ],
)
def test_probabilities_in_words(probability: float, english: str, chinese: str) -> None:
    assert words_for("en", UTC).percent(probability) == english
    assert words_for("zh-Hans-CN", UTC).percent(probability) == chinese


@pytest.mark.parametrize(
    ("locale", "simplified"),
    [("zh", True), ("zh-CN", True), ("zh-Hans-HK", True), ("zh-Hant", False), ("zh-TW", False), ("en-CN", False)],
)
def test_simplified_chinese_is_for_those_who_write_it(locale: str, simplified: bool) -> None:
    assert speaks_chinese(locale) is simplified


def test_every_model_that_ships_and_every_input_has_a_chinese_name() -> None:
    assert set(MODELS_ZH) == set(MODELS)
    for model in MODELS.values():
        package = model.package
        assert {item.name for item in package.inputs} <= set(INPUTS_ZH)
        assert bool(MODELS_ZH[package.identity.name].competing) is bool(package.identity.competing_text)
        chinese = words_for("zh", UTC)
        assert not chinese.status(package.identity).isascii() and not chinese.mitigation(package.identity).isascii()


def test_horizons_and_times_in_words() -> None:
    words, chinese = words_for("en", UTC), words_for("zh", UTC)
    assert [words.horizon(days) for days in (1, 30, 365, 1095)] == ["1 day", "30 days", "1 year", "3 years"]
    assert [chinese.horizon(days) for days in (1, 30, 365, 1095)] == ["1天", "30天", "1年", "3年"]
    at = datetime(2026, 1, 10, 8, 5, tzinfo=UTC)
    assert (words.time(at), chinese.time(at)) == ("2026-01-10 08:05", "2026年1月10日 08:05")


def test_a_card_leads_back_to_its_model() -> None:
    identities = [model.package.identity for model in MODELS.values()]
    uuid = card_uuid(IDENTITY, "tenant", "service", "call")
    assert model_of(uuid, identities) is IDENTITY
    assert uuid != card_uuid(IDENTITY, "tenant", "service", "other call")
    assert model_of("4e0a3a1e-3283-4575-ab82-028d55fe2719", identities) is None
    assert uuid[14] == "8" and uuid[19] == "8", "RFC 9562: version 8, and the variant"


# -- time --


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.conformance("F46")
def test_work_that_is_not_done_in_time_is_left() -> None:
    hold = threading.Event()
    with pytest.raises(OutOfTime):
        in_time(Budget(0.05), lambda: hold.wait(60))
    hold.set()
    assert in_time(Budget(60), lambda: 7) == 7
    with pytest.raises(KeyError):
        in_time(Budget(60), lambda: {}["x"])


def test_a_budget_that_is_spent_starts_nothing_more() -> None:
    clock = Clock()
    budget = Budget(0.4, clock=clock)
    budget.check()
    clock.now = 0.5
    with pytest.raises(OutOfTime):
        budget.check()


@pytest.mark.conformance("F46")
def test_a_read_that_takes_all_the_time_there_is_is_not_an_error_of_the_call() -> None:
    clock = Clock()

    def slow(request: httpx.Request) -> httpx.Response:
        clock.now += 1.0
        raise httpx.ReadTimeout("slow", request=request)

    services, _ = Offer(MODELS).of(cds.tenant())
    service = services["risk-patient-view"]
    request = parse_request(cds.body(), "patient-view", BASE)
    client = FhirClient(BASE, "token", retry=RetryPolicy(attempts=1), transport=httpx.MockTransport(slow))
    for keys in (["patient"], ["patient", "encounter"]):
        chart = Chart(service, request, BASE, client, Budget(0.4, clock.now, clock))
        with pytest.raises(OutOfTime):
            chart.obtain(keys)
