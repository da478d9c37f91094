"""One evaluation from start to end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fhir_adapter.dicomweb import ImageStore
from functions.diagnosis.data import DATASETS
from functions.diagnosis.evaluate.binary import Plan
from functions.diagnosis.evaluate.images import Served, evaluate_images
from functions.diagnosis.evaluate.intervals import Json
from functions.diagnosis.evaluate.labs import evaluate_labs
from functions.diagnosis.evaluate.nested import Resampling
from functions.diagnosis.train import PACKAGES, read_contract

__all__ = ["NotEvaluated", "evaluate"]


class NotEvaluated(ValueError):
    """There are no data here to measure this package on; says where its performance stands."""


def evaluate(
    name: str,
    folder: Path | None = None,
    *,
    plan: Plan | None = None,
    resampling: Resampling | None = None,
    store: ImageStore | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> Json:
    """Measure a package on people or films that were not in its training.

    Parameters
    ----------
    name : str
        The package.
    folder : Path, optional
        Holds ``model.yaml`` and the model file it names by digest; the package's own when absent.
    plan : Plan, optional
        Of the intervals.
    resampling : Resampling, optional
        Of the cross-validation, where there is one.
    store : ImageStore, optional
        Where test images are also stored as DICOM files, to be read back and looked at as the function does
        (:func:`functions.diagnosis.evaluate.through_dicom.measure_through_dicom`).
    progress : callable
        Called with a line now and then.

    Returns
    -------
    dict
        Ready for JSON, ``auroc`` with ``value``, ``low`` and ``high`` among its keys; the same for the same data,
        package versions and plan.

    Raises
    ------
    NotEvaluated
        The package was not trained here.
    DataAbsent
        The data are not on this machine.
    ValueError
        The model file is not the contract's, or images are to be stored for a model that looks at none.
    ImageStoreError
        Of the store.
    """
    if name not in DATASETS:
        raise NotEvaluated(
            f"{name} was not trained here, and no labelled data for it are on this machine; its maker's numbers stand "
            "in its card"
        )
    folder = folder or PACKAGES / name
    contract = read_contract(folder)
    content = _checked(folder / str(contract["file"]), contract)
    if store is not None and "images" not in contract:
        raise ValueError(f"{name} looks at no images, so that there is nothing to store")
    plan, resampling = plan or Plan(), resampling or Resampling()
    if name == "thyroid":
        from functions.diagnosis.data.thyroid import load_thyroid

        measured = evaluate_labs(load_thyroid(), content, contract, resampling, plan, progress)
        how = (
            f"{resampling.repeats} times repeated stratified {resampling.folds}-fold cross-validation, the penalty "
            f"chosen by {resampling.inner_folds}-fold cross-validation within the training rows"
        )
    else:
        measured = _images(folder, content, float(contract["findings"][0]["threshold"]), plan, store, progress)
        how = "official test split, the served file; the operating point chosen on validation"
    return {
        "schema": 1,
        "model": {
            "name": name,
            "version": str(contract["version"]),
            "title": contract["title"],
            "sha256": contract["sha256"],
            "size": len(content),
        },
        "method": {
            "how": how,
            "intervals": f"95%; {plan.replicates} bootstrap resamples within classes, or as named",
            "seed": plan.seed,
            "replicates": plan.replicates,
        },
        **measured,
        "software": {package: version(package) for package in ("numpy", "onnxruntime", *_trained_with(name))},
    }


def _images(
    folder: Path,
    content: bytes,
    threshold: float,
    plan: Plan,
    store: ImageStore | None,
    progress: Callable[[str], None],
) -> Json:
    from functions.diagnosis.data.pneumonia import load_pneumonia

    splits = load_pneumonia()
    measured = evaluate_images(splits, content, threshold, plan, progress)
    if store is None:
        return measured
    # what it needs reads DICOM, and only this option does
    from functions.diagnosis.evaluate.through_dicom import measure_through_dicom
    from functions.diagnosis.predict import DiagnosisModel
    from functions.serving.package import load_package

    arrays, model = Served(content).probabilities(splits.test), DiagnosisModel(load_package(folder))
    return {
        **measured,
        "through_dicom": measure_through_dicom(splits.test, arrays, threshold, model, store, progress),
    }


def _trained_with(name: str) -> tuple[str, ...]:
    return ("scikit-learn",) if name == "thyroid" else ("pillow",)


def _checked(model_file: Path, contract: Mapping[str, Any]) -> bytes:
    content = model_file.read_bytes()
    digest, declared = hashlib.sha256(content).hexdigest(), contract["sha256"]
    if digest != declared:
        raise ValueError(f"{model_file} has sha256 {digest}, model.yaml says {declared!r}; train first")
    return content
