"""Training of the diagnosis packages: what is committed is what training makes, and the graph says what the model says.

The peers are scikit-learn, torch and ONNX Runtime.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from functions.diagnosis.data import Labelled, LabTable
from functions.diagnosis.train import PACKAGES, packages, read_contract, record
from tests.peering import require_peer

TRAINED = ("cxr-pneumonia-paediatric", "thyroid")


def run(content: bytes, outputs: list[str], **inputs: Any) -> list[Any]:
    from onnxruntime import InferenceSession

    return list(InferenceSession(content, providers=["CPUExecutionProvider"]).run(outputs, inputs))


def blobs(count: int, seed: int = 0) -> Labelled:
    """Dark pictures with a light patch where there is a finding."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    pixels = random.normal(0.3, 0.05, (count, 1, 28, 28))
    for at in np.flatnonzero(labels):
        row, column = random.integers(4, 18, 2)
        pixels[at, 0, row : row + 6, column : column + 6] += 0.4
    return Labelled(np.clip(pixels, 0, 1).astype(np.float32), labels)


def table(count: int = 120) -> LabTable:
    random = np.random.default_rng(4)
    labels = np.arange(count) % 3
    shift = np.array([0.0, 1.0, -1.0])[labels]
    values = np.column_stack(
        [
            110 + 8 * shift + random.normal(0, 8, count),
            *(np.exp(1.0 - at * shift + random.normal(0, 0.4, count)) for at in (0.5, 0.4, -0.9)),
            3 * shift + random.normal(0, 1.5, count),
        ]
    )
    names = ("t3_resin_uptake", "thyroxine", "triiodothyronine", "tsh", "tsh_response")
    return LabTable(names, values, labels, ("normal", "hypothyroidism", "hyperthyroidism"))


@pytest.mark.parametrize("name", sorted(packages()))
def test_committed_digest_is_the_files(name: str) -> None:
    contract = read_contract(PACKAGES / name)
    content = (PACKAGES / name / str(contract["file"])).read_bytes()
    assert contract["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= 10_000_000


@pytest.mark.parametrize("name", TRAINED)
def test_the_file_knows_its_name_and_version(name: str) -> None:
    from onnxruntime import InferenceSession

    contract = read_contract(PACKAGES / name)
    session = InferenceSession((PACKAGES / name / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert (metadata["name"], metadata["version"]) == (name, str(contract["version"]))
    assert [port.name for port in session.get_inputs()] == [contract["graph"]["input"]]
    assert {port.name for port in session.get_outputs()} == set(contract["graph"]["outputs"])


def test_findings_name_outputs_of_the_graph() -> None:
    for name, folder in packages().items():
        contract = read_contract(folder)
        for finding in contract["findings"]:
            output = contract["graph"]["outputs"][finding["output"]]
            assert 0 <= finding["index"] < output["shape"][-1], name
            assert 0 < finding["threshold"] < 1, name


@pytest.mark.peer("scikit-learn")
class TestLaboratory:
    def test_logistic_agrees_with_scikit_learn(self) -> None:
        require_peer("scikit-learn", "sklearn")
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, StandardScaler

        from functions.diagnosis.models.labs import fit_logistic

        people = table()
        ours = fit_logistic(people.names, people.values, people.labels, people.classes, 0.5)

        def columns(x: Any) -> Any:
            return np.column_stack([x[:, 0], np.log(x[:, 1:4]), np.arcsinh(x[:, 4])])

        model = LogisticRegression(C=2.0, tol=1e-10, max_iter=10000)
        peer = make_pipeline(FunctionTransformer(columns), StandardScaler(), model).fit(people.values, people.labels)
        theirs = peer.predict_proba(people.values)
        np.testing.assert_allclose(ours.probabilities(people.values), theirs, rtol=0, atol=1e-12)
        given = run(ours.onnx({"name": "t"}), ["probabilities"], inputs=people.values)[0]
        np.testing.assert_allclose(given, theirs, rtol=0, atol=1e-12)

    def test_contributions_add_up_to_the_scores(self) -> None:
        require_peer("scikit-learn", "sklearn")
        from functions.diagnosis.models.labs import fit_logistic, softmax

        people = table()
        model = fit_logistic(people.names, people.values, people.labels, people.classes, 0.5)
        probabilities, contributions = run(model.onnx({}), ["probabilities", "contributions"], inputs=people.values[:7])
        assert contributions.shape == (7, 5, 3)
        np.testing.assert_allclose(softmax(contributions.sum(axis=1) + model.intercepts), probabilities, atol=1e-12)
        np.testing.assert_allclose(contributions, model.contributions(people.values[:7]), atol=1e-12)
        np.testing.assert_allclose(contributions.sum(axis=2), 0, atol=1e-12)

    def test_network_agrees_with_scikit_learn(self) -> None:
        require_peer("scikit-learn", "sklearn")
        from sklearn.neural_network import MLPClassifier

        from functions.diagnosis.models.labs import ITERATIONS, fit_network

        people = table()
        ours = fit_network(people.names, people.values, people.labels, people.classes, 10.0, seed=3)
        columns = ours.scaling(people.values)
        theirs = np.mean(
            [
                MLPClassifier(
                    (8,), activation="tanh", solver="lbfgs", alpha=10.0, max_iter=ITERATIONS, random_state=seed
                )
                .fit(columns, people.labels)
                .predict_proba(columns)
                for seed in (3, 4, 5)
            ],
            axis=0,
        )
        np.testing.assert_allclose(ours.probabilities(people.values), theirs, rtol=0, atol=1e-12)
        given = run(ours.onnx({}), ["probabilities"], inputs=people.values)[0]
        np.testing.assert_allclose(given, theirs, rtol=0, atol=1e-12)

    def test_held_out_people_are_not_in_the_training_that_predicts_them(self) -> None:
        require_peer("scikit-learn", "sklearn")
        from functions.diagnosis.evaluate.nested import Resampling, held_out

        people, plan = table(60), Resampling(repeats=1, folds=3, inner_folds=3)
        before = held_out("logistic", people, plan).probabilities
        changed = people.values.copy()
        changed[0] *= 1.5
        after = held_out("logistic", LabTable(people.names, changed, people.labels, people.classes), plan).probabilities
        same = np.isclose(before[0], after[0], rtol=0, atol=1e-12).all(axis=1)
        # those of his own fold are predicted without him, before and after
        assert 19 <= same.sum() < 60
        assert not same[0]

    def test_retraining_gives_the_committed_file(self) -> None:
        """The fit to all rows: that this penalty and this kind are chosen is shown by the whole training."""
        require_peer("rdata", "rdata")
        require_peer("scikit-learn", "sklearn")
        from functions.diagnosis.data.thyroid import load_thyroid
        from functions.diagnosis.evaluate.nested import Resampling, choose, fit
        from functions.offline.errors import DataAbsent

        try:
            people = load_thyroid()
        except DataAbsent as absent:
            pytest.skip(str(absent))
        contract = read_contract(PACKAGES / "thyroid")
        content = (PACKAGES / "thyroid" / "model.onnx").read_bytes()
        chosen = contract["performance"]["decision"]["chosen"]
        plan, rows = Resampling(), np.arange(len(people))
        penalty = choose(chosen, people, rows, plan.folds, plan.seed)
        told = {"name": "thyroid", "version": str(contract["version"]), "penalty": f"{penalty:g}"}
        again = fit(chosen, people, rows, penalty).onnx(told)
        # another BLAS may round the last digits otherwise; the answers must still be the same
        ours, theirs = (run(file, ["probabilities"], inputs=people.values)[0] for file in (again, content))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)


@pytest.fixture(scope="module")
def recipe() -> Any:
    require_peer("torch", "torch")
    from functions.diagnosis.models.fitting import Recipe

    return Recipe(members=2, widths=(4, 8, 12), epochs=4, batch=32, averaging=0.9)


@pytest.fixture(scope="module")
def ensemble(recipe: Any) -> Any:
    from functions.diagnosis.models.fitting import fit_ensemble, recalibrated
    from functions.diagnosis.train import one_thread

    one_thread()
    return recalibrated(fit_ensemble(blobs(320), recipe), blobs(200, 9))


@pytest.mark.peer("torch")
class TestImages:
    def test_it_learns(self, ensemble: Any) -> None:
        from functions.diagnosis.evaluate.metrics import auroc

        test = blobs(300, 5)
        assert auroc(test.labels, ensemble.scores(test.pixels).astype(np.float64)) > 0.9

    def test_the_same_seed_gives_the_same_bytes(self, ensemble: Any, recipe: Any) -> None:
        from functions.diagnosis.models.fitting import fit_ensemble, recalibrated

        again = recalibrated(fit_ensemble(blobs(320), recipe), blobs(200, 9))
        assert again.onnx(28, {"name": "x"}) == ensemble.onnx(28, {"name": "x"})

    def test_graph_agrees_with_torch_and_the_map_with_the_logit(self, ensemble: Any) -> None:
        pixels = blobs(40, 5).pixels
        logit, probability, saliency = run(ensemble.onnx(28, {}), ["logit", "probability", "saliency"], pixels=pixels)
        np.testing.assert_allclose(logit[:, 0], ensemble.scores(pixels), rtol=0, atol=1e-4)
        np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logit)), rtol=0, atol=1e-6)
        assert saliency.shape == (40, 28, 28)
        np.testing.assert_allclose(saliency.mean(axis=(1, 2)), logit[:, 0], rtol=0, atol=1e-4)

    def test_one_image_and_many_give_the_same(self, ensemble: Any) -> None:
        pixels, content = blobs(9, 5).pixels, ensemble.onnx(28, {})
        many = run(content, ["logit"], pixels=pixels)[0]
        one = np.concatenate([run(content, ["logit"], pixels=pixels[at : at + 1])[0] for at in range(9)])
        np.testing.assert_allclose(many, one, rtol=0, atol=1e-5)

    def test_augmented_images_stay_images(self) -> None:
        require_peer("torch", "torch")
        import torch

        from functions.diagnosis.models.augment import Augmentation, augmented

        pixels = torch.from_numpy(blobs(32).pixels)
        changed = augmented(pixels, Augmentation(), torch.Generator().manual_seed(1))
        again = augmented(pixels, Augmentation(), torch.Generator().manual_seed(1))
        assert changed.shape == pixels.shape
        assert torch.equal(changed, again)
        assert float(changed.min()) >= 0 and float(changed.max()) <= 1
        still = Augmentation(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        torch.testing.assert_close(augmented(pixels, still, torch.Generator().manual_seed(1)), pixels.clamp(1e-3, 1.0))


def test_fetching_copies_the_file_that_the_contract_names(tmp_path: Path) -> None:
    require_peer("openecg", "openecg")
    from functions.diagnosis.train import train

    done = train("ecg", tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == (PACKAGES / "ecg" / "model.onnx").read_bytes()
    assert done.sha256 == read_contract(tmp_path)["sha256"]
    assert "Apache License" in (tmp_path / "LICENSE").read_text(encoding="utf-8")
    assert done.sha256 in (tmp_path / "NOTICE").read_text(encoding="utf-8")


class TestRecord:
    TEXT = 'name: x\nsha256: ""\nfindings:\n  - name: y\n    threshold: 0.5\n'

    def test_it_is_replaced_and_the_rest_is_left(self) -> None:
        once = record(self.TEXT, "x", "ab12", {"performance": {"auroc": 0.9}}, 0.75)
        twice = record(once, "x", "cd34", {"performance": {"auroc": 0.8}}, 0.25)
        assert once.startswith('name: x\nsha256: "ab12"\nfindings:\n  - name: y\n    threshold: 0.75\n')
        assert yaml.safe_load(twice)["performance"] == {"auroc": 0.8}
        assert yaml.safe_load(twice)["findings"][0]["threshold"] == 0.25
        assert twice.count("generated by") == 1

    @pytest.mark.parametrize("text", ["name: x\n", 'sha256: ""\nsha256: ""\n'])
    def test_another_number_of_digests_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="exactly one line"):
            record(text, "x", "ab", {})

    def test_another_number_of_thresholds_is_refused(self) -> None:
        with pytest.raises(ValueError, match="exactly one threshold"):
            record('sha256: ""\n', "x", "ab", {}, 0.5)


def test_evaluations_are_of_the_committed_files() -> None:
    for name in TRAINED:
        found = json.loads((PACKAGES / name / "evaluation.json").read_text(encoding="utf-8"))
        assert found["model"]["sha256"] == read_contract(PACKAGES / name)["sha256"]
