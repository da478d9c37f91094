"""The report and the card of every survival package that ships are what its evaluation renders to."""

from __future__ import annotations

import json
import re

import pytest

from tests.peering import require_peer

pytestmark = pytest.mark.peer("matplotlib")
PICTURE = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.mark.parametrize("name", ["mgus2", "nafld", "pbc", "whas500"])
def test_page_and_card_are_of_the_committed_evaluation(name: str) -> None:
    require_peer("matplotlib", "matplotlib")
    from functions.survival.data import DATASETS
    from functions.survival.report import render_card, render_page
    from functions.survival.train import PACKAGES, read_contract

    folder, dataset = PACKAGES / name, DATASETS[name]
    contract = read_contract(folder)
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert render_card(evaluation, contract, dataset) == (folder / "card.md").read_text(encoding="utf-8")
    page = render_page(evaluation, contract, dataset)
    committed = (folder / "report.html").read_text(encoding="utf-8")
    # pictures may differ with the version of matplotlib; words and numbers may not
    assert PICTURE.sub("", page) == PICTURE.sub("", committed)
    assert len(PICTURE.findall(page)) == len(PICTURE.findall(committed)) > 0
