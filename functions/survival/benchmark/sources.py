"""The tables of the benchmark, and how each is split."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from functions.survival.benchmark.stack import stratified
from functions.survival.data import DATASETS, SurvivalTable

__all__ = [
    "FOLDS_FROM",
    "GIVEN",
    "NOT_HERE",
    "SEED",
    "Published",
    "Source",
    "data_folder",
    "given",
    "repeated",
    "sources",
]

Rows = NDArray[np.intp]
Split = tuple[Rows, Rows]

# Seed of every split that is ours.
SEED = 20240600
FOLDS_FROM = "Burk et al., A Large-Scale Neutral Comparison Study of Survival Models, arXiv 2406.04098"
# Below this many patients five-fold cross-validation is done twice.
SMALL = 1000


@dataclass(frozen=True)
class Published:
    """Mean Harrell's C over the same outer folds, as published.

    Parameters
    ----------
    best : float
        Of 21 tuned learners.
    cox : float
    """

    best: float
    cox: float


@dataclass(frozen=True)
class Source:
    """A table with its splits.

    Parameters
    ----------
    name, title : str
    splits_by : str
        For people: whose folds they are, or how they were made.
    load : callable
        Returns the table and its splits into training and test rows.
    published : Published, optional
        Where others published on the same folds.
    note : str
        What a reader must know.
    """

    name: str
    title: str
    splits_by: str
    load: Callable[[], tuple[SurvivalTable, list[Split]]]
    published: Published | None = None
    note: str = ""


GIVEN = {
    "whas": (
        "WHAS (481 patients after myocardial infarction)",
        Published(0.7601, 0.7320),
        "with all columns, as published: length of stay and year of admission among them, neither of which is known "
        "or usable at the bedside; not the table that the whas500 package is trained on",
    ),
    "flchain": ("FLCHAIN (4000 of the residents of Olmsted County)", Published(0.7957, 0.7941), ""),
    "gbsg": ("GBSG (2232 patients with breast cancer)", Published(0.6796, 0.6609), ""),
}

NOT_HERE = {
    "grace": (
        "published: best 0.8676, Cox 0.8372. The table is not here. The GRACE table in SurvSet on PyPI is not it: five "
        "inputs, on which a Cox model reaches 0.71"
    )
}


def data_folder() -> Path:
    """Return the folder of the tables with given folds: in ``$BEDSIDE_DATA``, or ``../shared/data``."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get("BEDSIDE_DATA", beside)) / "survival_benchmark"


def sources() -> dict[str, Source]:
    """Return every table of the benchmark by name, given folds first; none is read yet."""
    found = {name: given(name) for name in GIVEN}
    for name, dataset in DATASETS.items():
        # Its patients are those of another table here.
        if name not in ("flchain", "pbcseq") and dataset.competing is None:
            found[name] = repeated(name, dataset.title)
    return found


def given(name: str) -> Source:
    """Return a table that comes with its outer folds.

    Parameters
    ----------
    name : str
        ``whas``, ``flchain`` or ``gbsg``.
    """
    title, published, note = GIVEN[name]
    folder = data_folder()

    def load() -> tuple[SurvivalTable, list[Split]]:
        return read_table(folder / f"{name}.csv"), read_folds(folder / f"{name}_folds.csv")

    return Source(name, title, f"the outer folds of {FOLDS_FROM}", load, published, note)


def repeated(name: str, title: str) -> Source:
    """Return a data set of this project with splits of our own.

    Parameters
    ----------
    name : str
        A key of :data:`functions.survival.data.DATASETS`.
    title : str
        For people.
    """

    def load() -> tuple[SurvivalTable, list[Split]]:
        table = DATASETS[name].load()
        rounds = 2 if len(table) < SMALL else 1
        return table, [fold for turn in range(rounds) for fold in stratified(table.event, 5, SEED + turn)]

    return Source(name, title, f"5-fold cross-validation, twice below {SMALL} patients; seeds {SEED}, {SEED + 1}", load)


def read_table(path: Path) -> SurvivalTable:
    """Read a table with the columns ``time`` and ``status``; every other column is an input.

    A column of words with two values becomes 0 and 1, in the order of the alphabet.

    Parameters
    ----------
    path : Path
        A CSV file.

    Raises
    ------
    FileNotFoundError
        It is not there.
    ValueError
        A column has more than two different words.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: _numbers(name, [row[name] for row in rows]) for name in rows[0]}
    names = tuple(name for name in columns if name not in ("time", "status"))
    x = np.column_stack([columns[name] for name in names])
    return SurvivalTable(names, x, columns["status"] == 1.0, columns["time"])


def _numbers(name: str, words: list[str]) -> NDArray[np.float64]:
    try:
        return np.array([np.nan if word in ("", "NA") else float(word) for word in words])
    except ValueError:
        levels = sorted(set(words))
    if len(levels) != 2:
        raise ValueError(f"column {name} has {len(levels)} different words; code it as numbers")
    return np.array([float(levels.index(word)) for word in words])


def read_folds(path: Path) -> list[Split]:
    """Read outer folds: columns ``set`` (train or test), ``iteration`` and ``row_id``, which counts from 1.

    Parameters
    ----------
    path : Path
        A CSV file.
    """
    rows: dict[tuple[int, str], list[int]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault((int(row["iteration"]), row["set"]), []).append(int(row["row_id"]) - 1)
    numbers = sorted({number for number, _ in rows})
    return [
        (np.array(rows[number, "train"], dtype=np.intp), np.array(rows[number, "test"], dtype=np.intp))
        for number in numbers
    ]
