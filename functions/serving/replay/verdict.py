"""How a replay ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from functions.serving.recorded import InputState

__all__ = ["Found", "Pair", "Replay", "Verdict", "compared"]

# An element's place, what is written there, and what was worked out again.
Pair = tuple[str, object, object]


class Verdict(StrEnum):
    """How a replay ended; the codes are stable."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    INPUT_CHANGED = "input-changed"
    INPUT_VANISHED = "input-vanished"
    MODEL_DIFFERS = "model-differs"
    NOT_REPLAYABLE = "not-replayable"


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Parameters
    ----------
    provenance : str
        ``Provenance/{id}``.
    verdict : Verdict
    detail : str
        In words.
    model : str
        Name and version, or the digest of one that is not here.
    results : tuple of str
        The targets.
    inputs : tuple of InputState
    compared : int
        Numbers and texts that were compared.
    differences : tuple of str
        Elements that differ, with both values.
    """

    provenance: str
    verdict: Verdict
    detail: str
    model: str = ""
    results: tuple[str, ...] = ()
    inputs: tuple[InputState, ...] = ()
    compared: int = 0
    differences: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``bedside replay --json`` prints."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """What was found, before it is told with everything else."""

    verdict: Verdict
    detail: str
    compared: int = 0
    differences: tuple[str, ...] = ()


def compared(pairs: Iterable[Pair]) -> Found:
    """Return whether what is written is what was worked out again."""
    every = list(pairs)
    differences = tuple(f"{place}: {left} written, {right} replayed" for place, left, right in every if left != right)
    if differences:
        return Found(Verdict.DIFFERS, "The replayed result is another one.", len(every), differences)
    return Found(Verdict.REPRODUCED, "Every written value was reproduced, bit for bit.", len(every))
