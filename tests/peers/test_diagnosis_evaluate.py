"""Evaluation of the diagnosis packages against scikit-learn, and of committed numbers against committed files."""

from __future__ import annotations

import io
import json
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from functions.diagnosis.data import DATASETS, DataAbsent, ImageSplits, Labelled
from functions.diagnosis.evaluate import NotEvaluated, Plan, evaluate
from functions.diagnosis.evaluate.disturbed import DISTURBANCES
from functions.diagnosis.evaluate.images import Served, evaluate_images, operating_point
from functions.diagnosis.evaluate.metrics import MEASURES, auprc, auroc, log_loss, measures, pr_curve, roc_curve
from functions.diagnosis.train import PACKAGES, read_contract
from tests.peering import require_peer

TRAINED = ("cxr-pneumonia-paediatric", "thyroid")
CHEST = PACKAGES / "cxr-pneumonia-paediatric"


def simulated(size: int = 300) -> tuple[Any, Any]:
    random = np.random.default_rng(8)
    odds = np.round(random.normal(0.4, 1.5, size), 1)
    labels = (random.random(size) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return labels, 1 / (1 + np.exp(-odds))


@cache
def committed(name: str) -> dict[str, Any]:
    return dict(json.loads((PACKAGES / name / "evaluation.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    from functions.diagnosis.data.pneumonia import load_pneumonia

    try:
        return load_pneumonia()
    except DataAbsent as absent:
        pytest.skip(str(absent))


@pytest.mark.peer("scikit-learn")
def test_measures_agree_with_scikit_learn() -> None:
    require_peer("scikit-learn", "sklearn")
    from sklearn import metrics
    from sklearn.linear_model import LogisticRegression

    labels, given = simulated()
    assert auroc(labels, given) == pytest.approx(metrics.roc_auc_score(labels, given))
    assert auprc(labels, given) == pytest.approx(metrics.average_precision_score(labels, given))
    assert log_loss(labels, given) == pytest.approx(metrics.log_loss(labels, given))
    x, y = roc_curve(labels, given)
    theirs = metrics.roc_curve(labels, given, drop_intermediate=False)
    np.testing.assert_allclose(x, theirs[0])
    np.testing.assert_allclose(y, theirs[1])
    precision, recall, _ = metrics.precision_recall_curve(labels, given)
    ours = pr_curve(labels, given)
    np.testing.assert_allclose(ours[0], recall[:-1][::-1])
    np.testing.assert_allclose(ours[1], precision[:-1][::-1])
    named = dict(zip(MEASURES, measures(labels, given, 0.5), strict=True))
    called = (given >= 0.5).astype(int)
    assert named["accuracy"] == pytest.approx(metrics.accuracy_score(labels, called))
    assert named["ppv"] == pytest.approx(metrics.precision_score(labels, called))
    assert named["sensitivity"] == pytest.approx(metrics.recall_score(labels, called))
    assert named["brier"] == pytest.approx(metrics.brier_score_loss(labels, given))
    odds = np.log(given / (1 - given))[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10000).fit(odds, labels)
    assert named["calibration_slope"] == pytest.approx(fitted.coef_[0, 0], abs=1e-5)


def test_threshold_is_the_highest_that_finds_enough() -> None:
    labels, given = simulated()
    images = Labelled(np.zeros((300, 1, 2, 2), dtype=np.float32), labels)
    threshold = operating_point(images, given)
    found = (given[labels == 1] >= threshold).mean()
    above = np.min(given[given > threshold + 1e-4])
    assert found >= 0.95
    assert (given[labels == 1] > above).mean() < 0.95


def test_disturbances_keep_what_a_picture_is() -> None:
    require_peer("pillow", "PIL")
    pixels = np.random.default_rng(2).random((3, 1, 28, 28), dtype=np.float32)
    smooth = np.tile(np.linspace(0.2, 0.8, 28, dtype=np.float32), (3, 1, 28, 1))
    for name, disturb in DISTURBANCES.items():
        changed = disturb(pixels)
        assert (changed.shape, changed.dtype) == (pixels.shape, np.float32), name
        assert 0 <= changed.min() <= changed.max() <= 1, name
        assert not np.array_equal(changed, pixels), name
        np.testing.assert_array_equal(disturb(pixels), changed, err_msg=name)
        if name.startswith(("resampled", "JPEG", "noise")):
            assert np.abs(disturb(smooth) - smooth).mean() < 0.05, name
    np.testing.assert_allclose(DISTURBANCES["one pixel down and right"](pixels)[:, :, 1:, 1:], pixels[:, :, :-1, :-1])


def test_test_split_gives_the_committed_numbers(splits: ImageSplits) -> None:
    contract = read_contract(CHEST)
    served = Served((CHEST / "model.onnx").read_bytes())
    threshold = float(contract["findings"][0]["threshold"])
    given = served.probabilities(splits.test)
    found = dict(zip(MEASURES, measures(splits.test.labels, given, threshold), strict=True))
    for name in MEASURES:
        assert found[name] == pytest.approx(committed(CHEST.name)[name]["value"], abs=2e-4), name
        assert found[name] == pytest.approx(contract["performance"][name]["value"], abs=2e-4), name
    assert found["auroc"] > 0.986
    assert found["accuracy"] > 0.955


def test_operating_point_comes_from_validation_alone(splits: ImageSplits) -> None:
    served = Served((CHEST / "model.onnx").read_bytes())
    threshold = operating_point(splits.validation, served.probabilities(splits.validation))
    assert threshold == pytest.approx(float(read_contract(CHEST)["findings"][0]["threshold"]), abs=2e-4)


def test_map_of_the_committed_model_adds_up_to_its_logit(splits: ImageSplits) -> None:
    served, some = Served((CHEST / "model.onnx").read_bytes()), splits.test.take(np.arange(32))
    saliency, logit = served.run(some, "saliency"), served.run(some, "logit")
    assert saliency.shape == (32, 28, 28)
    np.testing.assert_allclose(saliency.mean(axis=(1, 2)), logit[:, 0], rtol=0, atol=1e-3)


def test_evaluation_of_images_says_all_of_it(splits: ImageSplits) -> None:
    require_peer("pillow", "PIL")
    few = ImageSplits(
        splits.train.take(np.arange(50)), splits.validation.take(np.arange(0, 516, 8)),
        splits.test.take(np.arange(0, 624, 8)), 0,
    )  # fmt: skip
    found = evaluate_images(few, (CHEST / "model.onnx").read_bytes(), 0.5, Plan(replicates=10))
    assert set(MEASURES) <= set(found)
    assert [row["name"] for row in found["robustness"]] == list(DISTURBANCES)
    assert sum(row["images"] for row in found["subgroups"][:3]) == 78
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", TRAINED)
def test_committed_evaluation_has_an_auroc_with_its_interval(name: str) -> None:
    found = committed(name)["auroc"]
    assert 0.5 < found["low"] < found["value"] < found["high"] <= 1


@pytest.mark.parametrize("name", TRAINED)
def test_page_and_card_are_of_the_committed_evaluation(name: str) -> None:
    require_peer("matplotlib", "matplotlib")
    from functions.diagnosis.report import render_card, render_page

    contract, dataset, folder = read_contract(PACKAGES / name), DATASETS[name], PACKAGES / name
    assert render_card(committed(name), contract, dataset) == (folder / "card.md").read_text(encoding="utf-8")
    page = render_page(committed(name), contract, dataset)
    assert page == render_page(committed(name), contract, dataset)
    committed_page = (folder / "report.html").read_text(encoding="utf-8")
    # pictures may differ with the version of matplotlib; words and numbers may not
    assert texts(page) == texts(committed_page)


class Texts(HTMLParser):
    """The words of a page outside its pictures, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.fetched, self.scripts, self.depth = io.StringIO(), list[str](), 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "svg"
        self.scripts += tag == "script"
        self.fetched += [
            value for key, value in attrs if key in ("src", "href", "xlink:href") and value and value[0] != "#"
        ]

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "svg"

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.words.write(data)


def texts(page: str) -> str:
    parser = Texts()
    parser.feed(page)
    return parser.words.getvalue()


@pytest.mark.parametrize("name", TRAINED)
def test_page_stands_alone(name: str) -> None:
    parser = Texts()
    parser.feed((PACKAGES / name / "report.html").read_text(encoding="utf-8"))
    assert (parser.fetched, parser.scripts) == ([], 0)
    for word in ("AUROC", "Calibration", "Decision curve", "Limits and caveats"):
        assert word in parser.words.getvalue()


def test_what_was_not_trained_here_is_not_evaluated() -> None:
    with pytest.raises(NotEvaluated, match="maker"):
        evaluate("ecg")


def test_another_file_than_the_contracts_is_refused(tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another")
    (tmp_path / "model.yaml").write_bytes((PACKAGES / "thyroid" / "model.yaml").read_bytes())
    with pytest.raises(ValueError, match="train first"):
        evaluate("thyroid", tmp_path)
