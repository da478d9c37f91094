"""What a model says of itself: contract, card and evaluation, from its package's folder; no model is opened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from functions.smart_app.chart import Curve
from functions.smart_app.lenient import array, number_of, object_of, objects

__all__ = ["Contract", "Input", "Models"]

FUNCTIONS = Path(__file__).parents[1]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
# Source attributes (HTI-1, 45 CFR 170.315(b)(11)(iv)) as a contract holds them, in the order in which a reader asks.
ATTRIBUTES = ("intended_use", "population", "out_of_scope", "mitigation", "status", "licence", "manufacturer")
TRAINING = ("data", "source", "excluded")


@dataclass(frozen=True)
class Input:
    """An input that a contract declares.

    Parameters
    ----------
    name, display, kind : str
    codes : frozenset of str
        Of the resources that it is read from.
    unit : str
        UCUM; empty for none.
    molar_mass : float or None
        In g/mol.
    """

    name: str
    display: str
    kind: str = ""
    codes: frozenset[str] = frozenset()
    unit: str = ""
    molar_mass: float | None = None


@dataclass(frozen=True)
class Contract:
    """A model as its package describes it.

    Parameters
    ----------
    name, version, title : str
    focus : str
        Resource type that the model answers for.
    inputs : tuple of Input
    looks : str
        ``film`` or ``strip`` for what it looks at, empty for numbers alone.
    maps : bool
        Whether it says which place spoke for its finding.
    attributes : tuple of (str, str)
        Name and text of what it says of itself.
    card : str
        Markdown.
    reference : Curve or None
        How the people it was tested on fared: observed, in percent free of the event.
    tested_on : int
        How many these were, 0 where it is not known.
    """

    name: str
    version: str
    title: str
    focus: str
    inputs: tuple[Input, ...] = ()
    looks: str = ""
    maps: bool = False
    attributes: tuple[tuple[str, str], ...] = ()
    card: str = field(default="", repr=False)
    reference: Curve | None = None
    tested_on: int = 0


class Models:
    """The packages beside this function, each read when it is first asked for.

    Parameters
    ----------
    folder : Path
        With ``{function}/packages/{model}``.
    """

    def __init__(self, folder: Path = FUNCTIONS) -> None:
        self._folder = folder
        self._read: dict[str, Contract | None] = {}

    def get(self, name: str) -> Contract | None:
        """Return a model by its name; None where no package of it is here, or none that can be read."""
        if name not in self._read:
            found = sorted(self._folder.glob(f"*/packages/{name}/model.yaml")) if _NAME.match(name) else []
            self._read[name] = _contract(found[0]) if found else None
        return self._read[name]


def _contract(path: Path) -> Contract | None:
    try:
        data = object_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError:
        return None
    card = path.with_name("card.md")
    reference, people = _reference(path.with_name("evaluation.json"))
    findings = list(objects(data.get("findings")))
    return Contract(
        name=str(data.get("name") or path.parent.name),
        version=str(data.get("version") or ""),
        title=str(data.get("title") or path.parent.name),
        focus=str(data.get("focus") or ""),
        inputs=tuple(_inputs(data)),
        looks="strip" if "waveforms" in data else "film" if "images" in data else "",
        maps=any(finding.get("saliency") for finding in findings),
        attributes=tuple(_attributes(data)),
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        reference=reference,
        tested_on=people,
    )


def _inputs(data: Mapping[str, Any]) -> Iterator[Input]:
    for item in objects(data.get("inputs")):
        codes = {str(code) for key in ("codes", "panels", "negative_codes") for code in array(item.get(key))}
        codes |= {str(code) for code in object_of(item.get("derive")).values()}
        kind = str(item.get("kind") or "")
        yield Input(
            name=str(item.get("name") or ""),
            # as functions.serving.words has it, whose texts these are read from
            display="Sex" if kind == "sex" else str(item.get("display") or ""),
            kind=kind,
            codes=frozenset(codes),
            unit=str(item.get("unit") or ""),
            molar_mass=number_of(item.get("molar_mass")),
        )


def _attributes(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ATTRIBUTES:
        if data.get(name):
            yield name, str(data[name])
    training, measured = object_of(data.get("training")), object_of(data.get("performance"))
    for name in TRAINING:
        if training.get(name):
            yield f"training.{name}", str(training[name])
    if measured.get("method"):
        yield "performance.method", str(measured["method"])
    for name in ("uno_c", "integrated_brier_score", "auroc", "sensitivity", "specificity", "accuracy", "log_loss"):
        told = _estimate(measured.get(name))
        if told:
            yield f"performance.{name}", told
    if data.get("sha256"):
        yield "sha256", str(data["sha256"])


def _estimate(found: object) -> str:
    value = number_of(object_of(found).get("value"))
    bounds = [number_of(bound) for bound in array(object_of(found).get("interval_95"))]
    if value is None:
        return ""
    known = [f"{bound:.3f}" for bound in bounds if bound is not None]
    return f"{value:.3f}" + (f" ({known[0]}–{known[1]})" if len(known) == 2 else "")


def _reference(path: Path) -> tuple[Curve | None, int]:
    """The mean of what was observed in the evaluation's risk groups, which are of equal size, on a grid of 30 days."""
    try:
        found = object_of(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None, 0
    groups = object_of(found.get("risk_groups"))
    times = [number_of(time) or 0.0 for time in array(groups.get("times_days"))]
    curves = [array(object_of(group.get("observed")).get("value")) for group in objects(groups.get("groups"))]
    if not times or not curves or any(len(curve) != len(times) for curve in curves):
        return None, 0
    means = [sum(float(value) for value in values) / len(curves) for values in zip(*curves, strict=True)]
    people = number_of(object_of(found.get("data")).get("patients")) or 0
    return Curve(30.0, tuple(100 * _level(day, times, means) for day in range(0, int(times[-1]) + 1, 30))), int(people)


def _level(day: float, times: Sequence[float], values: Sequence[float]) -> float:
    """A step function that is 1 at the beginning."""
    passed = [value for time, value in zip(times, values, strict=True) if time <= day]
    return passed[-1] if passed else 1.0
