"""What is known about a data set, and the arrays it comes as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Dataset", "Float32", "Float64", "ImageSplits", "Int64", "LabTable", "Labelled"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Images with a label each.

    Parameters
    ----------
    pixels : ndarray of float32, shape (n, 1, rows, columns)
        In [0, 1], 1 is white.
    labels : ndarray of int64, shape (n,)
        1 where the finding is there, else 0.
    """

    pixels: Float32
    labels: Int64

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.labels.shape != self.pixels.shape[:1]:
            raise ValueError("images have shape (n, 1, rows, columns), and a label each")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Labelled:
        """Return some of the images."""
        return Labelled(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class ImageSplits:
    """A split into three parts that share no image.

    Parameters
    ----------
    train, validation, test : Labelled
    left_out : int
        Images that were taken out of validation, since they are in train, too.
    """

    train: Labelled
    validation: Labelled
    test: Labelled
    left_out: int


@dataclass(frozen=True)
class LabTable:
    """Laboratory values with a diagnosis each.

    Parameters
    ----------
    names : tuple of str
        Of the columns, which are the contract's inputs.
    values : ndarray of float64, shape (n, p)
    labels : ndarray of int64, shape (n,)
        Positions in `classes`.
    classes : tuple of str
    """

    names: tuple[str, ...]
    values: Float64
    labels: Int64
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Where a data set comes from, and what in it must not be trusted.

    Parameters
    ----------
    name : str
        Of the package that is trained on it.
    title, source, licence, reference : str
        For people.
    limits : tuple of str
        What the data cannot speak for.
    caveats : tuple of str
        What a user of a model trained on them must keep in mind.
    """

    name: str
    title: str
    source: str
    licence: str
    reference: str
    limits: tuple[str, ...]
    caveats: tuple[str, ...]
