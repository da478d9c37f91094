"""Numbers and findings in words."""

from __future__ import annotations

from typing import Any

import pytest

from functions.offline.report.tables import Table
from functions.survival.data import WHAS500
from functions.survival.report.notes import choice_note, served_note, subgroup_note
from functions.survival.report.words import (
    Words,
    codes_of,
    main,
    number,
    percent,
    share,
    short,
    span,
    term_title,
    value,
)

NOTHING = {"value": None, "low": None, "high": None}


def estimate(at: float, low: float, high: float) -> dict[str, float]:
    return {"value": at, "low": low, "high": high}


@pytest.mark.parametrize(
    ("days", "said"), [(1, "1 day"), (30.0, "30 days"), (365.0, "1 year"), (1825, "5 years"), (400, "400 days")]
)
def test_horizons_are_said_in_years_where_they_are_whole(days: float, said: str) -> None:
    assert span(days) == said


def test_numbers_with_their_intervals() -> None:
    assert value(estimate(0.7589, 0.7219, 0.7912)) == "0.759 (0.722 to 0.791)"
    assert value(estimate(1.0, 0.9, 1.1), 1) == "1.0 (0.9 to 1.1)"
    assert percent(estimate(0.27, 0.24, 0.31)) == "27% (24 to 31)"
    assert percent(estimate(0.031, 0.01, 0.05)) == "3.1% (1.0 to 5.0)"
    assert (number(0.5, 1), share(0.456), share(0.0456)) == ("0.5", "46%", "4.6%")


def test_what_could_not_be_computed_is_a_dash() -> None:
    assert [value(NOTHING), percent(NOTHING), number(None), share(None)] == ["–"] * 4
    assert value({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert percent({"value": 0.5, "low": None, "high": None}) == "50%"


def test_inputs_are_named_with_the_difference_of_their_ratio() -> None:
    names = {"bmi": "Body mass index", "mi": "Recurrent infarction (an earlier one)"}
    term = {"name": "bmi", "kind": "continuous", "unit": "kg/m2", "step": 5, "log": False}
    assert term_title(term, names) == "Body mass index, +5 kg/m²"
    assert term_title({**term, "unit": "U/L", "step": 10.0}, names).endswith("+10 U/L")
    assert term_title({**term, "log": True}, names) == "Body mass index, doubled"
    assert term_title({"name": "mi", "kind": "binary"}, names) == "Recurrent infarction"
    assert short("Random survival forest, 100 trees") == "Random survival forest"


def test_codes_name_their_system() -> None:
    assert codes_of({"kind": "age"}) == "Patient.birthDate"
    assert codes_of({"system": "http://loinc.org", "codes": ["1975-2", "1968-7"]}) == "LOINC 1975-2, 1968-7"


def test_the_outcome_has_its_own_words() -> None:
    assert Words.of(WHAS500).free == "Alive"
    assert Words("relapse", "relapses", "death", "surgery").free == "Free of relapse"
    assert Words("relapse", "relapses", "death", "surgery").observed_by == "Aalen-Johansen"


def test_the_main_horizon_is_the_evaluations() -> None:
    rows = [{"days": 30.0}, {"days": 365.0}]
    assert main({"method": {"main_horizon_days": 365.0}, "horizons": rows}) is rows[1]


def test_a_table_refuses_a_row_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Table("Short.", ("a", "b"), (("1",),))


def subgroup(title: str, uno: dict[str, float], ratio: dict[str, float]) -> dict[str, Any]:
    risk = estimate(0.3, 0.2, 0.4)
    part = {"days": 365.0, "predicted_risk": risk, "observed_risk": risk, "observed_expected_ratio": ratio}
    return {"title": title, "uno_c": uno, "horizons": [part]}


def test_a_difference_between_the_sexes_and_a_wrong_risk_are_told() -> None:
    fine, off = estimate(1.0, 0.8, 1.2), estimate(1.8, 1.3, 2.4)
    women = subgroup("Women", estimate(0.65, 0.6, 0.7), fine)
    men, shock = subgroup("Men", estimate(0.8, 0.75, 0.85), fine), subgroup("In shock", estimate(0.6, 0.4, 0.8), off)
    note = subgroup_note({"subgroups": [women, men, shock], "model": {"kind": "cox"}})
    assert "ranks women less well than men" in note
    assert "At 1 year the risk is off for: in shock (predicted 30%, observed 30% (20 to 40))." in note
    assert "proportional hazards" in note
    quiet = subgroup_note({"subgroups": [men, subgroup("Women", NOTHING, fine)], "model": {"kind": "cox"}})
    assert "less well" not in quiet
    assert "off for" not in quiet


def choice(chosen: str, shipped: str, better: list[str], *, forced: bool = False) -> str:
    plain = {"uno_c": estimate(0.7, 0.6, 0.8), "integrated_brier_score": estimate(0.2, 0.1, 0.3)}
    rows = [
        {"name": name, "title": title, **plain} for name, title in (("cox", "Cox model"), ("forest", "Forest, big"))
    ]
    decision = {"chosen": chosen, "rule": "R", "baseline": "cox", "better_than_cox": better, "forced": forced}
    return choice_note({"decision": decision, "comparison": rows, "model": {"kind": shipped}})


def test_the_choice_is_told_as_it_was() -> None:
    assert choice("cox", "cox", []) == "Rule set beforehand: R. No other model was, so Cox was chosen."
    assert "cannot be written" in choice("cox", "cox", ["forest"], forced=True)
    chosen = choice("forest", "forest", ["forest"])
    assert "Chosen: Forest." in chosen
    assert "The plain Cox baseline: Uno's C 0.700 (0.600 to 0.800)" in chosen
    assert "What ships here, and is reported, is another: Cox model." in choice("forest", "cox", ["forest"])


def test_a_file_that_is_another_model_is_told() -> None:
    found = {"bytes": 12_000, "rows": 50, "max_difference": 1e-9}
    assert "rounding" not in served_note({"served": found})
    assert "more than rounding" in served_note({"served": {**found, "max_difference": 0.2}})
