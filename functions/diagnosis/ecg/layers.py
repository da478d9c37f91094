"""The model's three layers of classes, one for each sample, and the waves in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BEATS", "RHYTHMS", "WAVES", "Layers", "Segment"]

WAVES = ("other", "P", "QRS", "T")
BEATS = ("none", "sinus", "vpc", "paced", "fusion", "unknown")
RHYTHMS = ("sinus", "avb", "paced", "afib", "bbb", "ventricular")

Classes = npt.NDArray[np.int64]
# Start, end (exclusive) in samples.
Segment = tuple[int, int]

# The model sees too little of what comes before and after to be believed at the ends.
MARGIN_S = 2.0


@dataclass(frozen=True)
class Layers:
    """What the model says of each sample.

    Parameters
    ----------
    wave, beat, rhythm : ndarray of int64, shape (n,)
        Positions in :data:`WAVES`, :data:`BEATS`, :data:`RHYTHMS`.
    rate : float
        Samples a second.
    """

    wave: Classes
    beat: Classes
    rhythm: Classes
    rate: float

    @classmethod
    def of(cls, outputs: Mapping[str, npt.NDArray[np.float32]], rate: float, samples: int) -> Layers:
        """Take the likeliest class of each sample.

        Parameters
        ----------
        outputs : mapping
            ``frame_logits``, ``beat_logits``, ``rhythm_logits``, each of shape (1, n, classes).
        rate : float
            Samples a second.
        samples : int
            How many of them are signal and not padding behind it.
        """
        wave, beat, rhythm = (
            np.asarray(outputs[f"{name}_logits"][0, :samples].argmax(axis=-1), dtype=np.int64)
            for name in ("frame", "beat", "rhythm")
        )
        return cls(wave, np.where(wave == WAVES.index("QRS"), beat, 0), rhythm, rate)

    @property
    def inner(self) -> slice:
        """The part that is believed; all of it where the signal is too short to have one."""
        margin, size = round(MARGIN_S * self.rate), self.wave.size
        return slice(margin, size - margin) if size > 2 * margin else slice(0, size)

    def segments(self, wave: str) -> list[Segment]:
        """Return the runs of one class of wave."""
        inside = np.concatenate([[0], self.wave == WAVES.index(wave), [0]]).astype(np.int8)
        steps = np.diff(inside)
        starts, ends = np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist()
        return list(zip(starts, ends, strict=True))

    def rhythm_shares(self) -> dict[str, float]:
        """Return the share of the inner samples that each rhythm has."""
        counts = np.bincount(self.rhythm[self.inner], minlength=len(RHYTHMS))
        total = max(1, int(counts.sum()))
        return {name: float(counts[at]) / total for at, name in enumerate(RHYTHMS)}

    def beat_types(self, peaks: Sequence[int]) -> list[str]:
        """Return the type of each beat: the commonest within 60 ms, ``untyped`` where the model says none."""
        half = max(1, round(0.06 * self.rate))
        found = []
        for peak in peaks:
            near = self.beat[max(0, peak - half) : peak + half + 1]
            near = near[near != 0]
            found.append(BEATS[int(np.bincount(near).argmax())] if near.size else "untyped")
        return found

    def duration_ms(self, wave: str) -> float | None:
        """Return the median duration of a class of wave in ms; None where there is none."""
        return self._median([end - start for start, end in self.segments(wave)])

    def interval_ms(self, first: str, then: str, within_ms: float, *, to_end: bool) -> float | None:
        """Return the median time from the start of a wave to the start or end of the next of another class.

        Parameters
        ----------
        first, then : str
            Classes of wave.
        within_ms : float
            How late the second may begin.
        to_end : bool
            Whether the second's end counts, or its start.
        """
        most = within_ms * self.rate / 1000.0
        following = self.segments(then)
        times = []
        for start, _ in self.segments(first):
            then_at = next((other for other in following if 0 <= other[0] - start <= most), None)
            if then_at is not None:
                times.append(then_at[to_end] - start)
        return self._median(times)

    def _median(self, samples: list[int]) -> float | None:
        return float(np.median(samples)) * 1000.0 / self.rate if samples else None
