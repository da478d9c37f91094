"""Evaluation of an image model on the official test split, by the file as it is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functions.diagnosis.data.dataset import Float64, ImageSplits, Labelled
from functions.diagnosis.evaluate.binary import Plan, curves, groups, headline, robustly
from functions.diagnosis.evaluate.disturbed import DISTURBANCES
from functions.diagnosis.evaluate.intervals import Json

__all__ = ["Served", "evaluate_images", "operating_point"]

BATCH = 64
# The rule of the operating point: as few false alarms as this sensitivity leaves.
SENSITIVITY = 0.95


class Served:
    """The model file, run as a function runs it.

    Parameters
    ----------
    content : bytes
        An ONNX file with input ``pixels`` and output ``probability``.
    """

    def __init__(self, content: bytes) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = InferenceSession(content, options, providers=["CPUExecutionProvider"])

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says about itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, images: Labelled, output: str = "probability") -> Float64:
        """Return one output for all images; shape (n, ...)."""
        parts = [
            self._session.run([output], {"pixels": images.pixels[start : start + BATCH]})[0]
            for start in range(0, len(images), BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    def probabilities(self, images: Labelled) -> Float64:
        """Return the probability of the finding; shape (n,)."""
        return self.run(images)[:, 0]


def operating_point(images: Labelled, probabilities: Float64) -> float:
    """Return the highest threshold at which at least 95% of those with the finding are found.

    Parameters
    ----------
    images : Labelled
        Validation images: never those of the test.
    probabilities : ndarray, shape (n,)

    Returns
    -------
    float
        Rounded down to four decimals, so that the contract holds all of it.
    """
    with_it = np.sort(probabilities[images.labels == 1])
    missed = int((1.0 - SENSITIVITY) * len(with_it))
    return float(np.floor(with_it[missed] * 1e4) / 1e4)


def evaluate_images(
    splits: ImageSplits,
    content: bytes,
    threshold: float,
    plan: Plan,
    progress: Callable[[str], None] = lambda _line: None,
) -> Json:
    """Measure an image model.

    Parameters
    ----------
    splits : ImageSplits
        Train and validation are only counted and compared; the test split is measured.
    content : bytes
        The model file.
    threshold : float
        The contract's operating point, chosen on validation.
    plan : Plan
    progress : callable
        Called with a line now and then.
    """
    served, test = Served(content), splits.test
    progress(f"{len(test)} test images")
    probabilities = served.probabilities(test)
    validation = served.probabilities(splits.validation)
    found: Json = {
        "data": _data(splits),
        "operating_point": {
            "threshold": threshold,
            "rule": (
                f"the highest threshold at which {100 * SENSITIVITY:.0f}% of the validation images with the finding "
                "are found"
            ),
            "on_validation": operating_point(splits.validation, validation),
        },
        **headline(test.labels, [probabilities], threshold, plan),
        **curves(test.labels, [probabilities], plan),
        "calibration_groups": groups(test.labels, [probabilities]),
        "validation": headline(splits.validation.labels, [validation], threshold, plan),
    }
    progress("groups of images")
    found["subgroups"] = _subgroups(test, probabilities, threshold)
    found["robustness"] = []
    for name, disturb in DISTURBANCES.items():
        progress(f"disturbed: {name}")
        changed = served.probabilities(Labelled(disturb(test.pixels), test.labels))
        found["robustness"].append({"name": name, **robustly(test.labels, changed, threshold)})
    return found


def _data(splits: ImageSplits) -> Json:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        **{name: {"images": len(part), "with_finding": int(part.labels.sum())} for name, part in parts.items()},
        "left_out": splits.left_out,
    }


def _subgroups(images: Labelled, probabilities: Float64, threshold: float) -> list[Json]:
    """Thirds by brightness and by contrast: of the patients nothing is recorded."""
    found = []
    for title, values in (
        ("brightness", images.pixels.mean(axis=(1, 2, 3))),
        ("contrast", images.pixels.std(axis=(1, 2, 3))),
    ):
        thirds = np.array_split(np.argsort(values, kind="stable"), 3)
        for word, part in zip(("lowest", "middle", "highest"), thirds, strict=True):
            labels = images.labels[part]
            found.append(
                {
                    "title": f"{word} third of {title}",
                    "images": len(part),
                    "with_finding": int(labels.sum()),
                    **robustly(labels, probabilities[part], threshold),
                }
            )
    return found
