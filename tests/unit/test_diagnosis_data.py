"""Training data: what is left out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from functions.diagnosis.data import DATASETS, DataAbsent, Labelled
from functions.diagnosis.data.pneumonia import VARIABLE, load_pneumonia, splits_of


def images(count: int, seed: int) -> Labelled:
    random = np.random.default_rng(seed)
    return Labelled(random.random((count, 1, 28, 28), dtype=np.float32), random.integers(0, 2, count))


def test_validation_loses_what_train_has() -> None:
    train, validation, test = images(6, 1), images(4, 2), images(3, 3)
    validation.pixels[2] = train.pixels[5]
    splits = splits_of(train, validation, test)
    assert (splits.left_out, len(splits.validation)) == (1, 3)
    assert not {image.tobytes() for image in splits.validation.pixels} & {image.tobytes() for image in train.pixels}


def test_a_test_image_among_those_for_training_is_refused() -> None:
    train, validation, test = images(6, 1), images(4, 2), images(3, 3)
    test.pixels[0] = validation.pixels[1]
    with pytest.raises(DataAbsent, match="not the official split"):
        splits_of(train, validation, test)


def npz(path: Path, **changed: np.ndarray) -> Path:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for name, count in (("train", 6), ("val", 4), ("test", 3)):
        arrays[f"{name}_images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{name}_labels"] = random.integers(0, 2, (count, 1))
    np.savez(path, **(arrays | changed))
    return path


def test_pixels_are_scaled_and_found_by_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz(tmp_path / "pneumoniamnist.npz")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    splits = load_pneumonia()
    assert splits.train.pixels.shape == (6, 1, 28, 28)
    assert splits.train.pixels.dtype == np.float32
    low, high = splits.train.pixels.min(), splits.train.pixels.max()
    assert 0 <= low < 0.05
    assert 0.95 < high <= 1


def test_absent_data_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(DataAbsent, match="MedMNIST"):
        load_pneumonia()


@pytest.mark.parametrize(
    "changed",
    [
        {"val_images": np.zeros((4, 64, 64), dtype=np.uint8)},
        {"val_images": np.zeros((4, 28, 28))},
        {"test_labels": np.full((3, 1), 7)},
    ],
)
def test_another_file_is_refused(tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataAbsent, match="is not"):
        load_pneumonia(npz(tmp_path / "other.npz", **changed))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(DataAbsent, match="is not"):
        load_pneumonia(path)


def test_every_data_set_says_what_it_cannot_speak_for() -> None:
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert dataset.limits
        assert dataset.caveats
        assert dataset.licence
