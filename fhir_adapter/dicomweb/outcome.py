"""What became of instances that were to be stored (PS3.18, 10.5.3; PS3.4, Table B.2-1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_adapter.dicomweb.errors import ImagesNotStored
from fhir_adapter.dicomweb.uids import InstancePath

__all__ = ["StoreFailure", "StoreOutcome"]

# Failure Reason (0008,1197): PS3.18, Table I.2-2, PS3.7, Annex C.
PROCESSING_FAILURE = 0x0110
DUPLICATE = 0x0111
# Reasons that servers give for an instance they have: that of DIMSE, and that of Azure's DICOM service.
ALREADY_THERE = frozenset({DUPLICATE, 45070})
REASONS = {
    PROCESSING_FAILURE: "processing failure",
    DUPLICATE: "another instance of this UID is there already",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0xC122: "transfer syntax not supported",
}


@dataclass(frozen=True)
class StoreFailure:
    """An instance that was not stored.

    Parameters
    ----------
    path : InstancePath
        Which.
    reason : int or None
        Failure Reason (0008,1197), None when the store does not tell.
    """

    path: InstancePath
    reason: int | None = None

    def __str__(self) -> str:
        if self.reason is None:
            return f"instance {self.path.instance}: no reason given"
        words = REASONS.get(self.reason, _class_of(self.reason))
        return f"instance {self.path.instance}: {self.reason:04X}H, {words}"


@dataclass(frozen=True)
class StoreOutcome:
    """What became of each instance.

    Parameters
    ----------
    stored : tuple of InstancePath
        Held by the store now.
    failed : tuple of StoreFailure
        Not held.
    warned : tuple of (str, int)
        SOP Instance UID and Warning Reason (0008,1196) of instances that were stored, yet changed.
    """

    stored: tuple[InstancePath, ...]
    failed: tuple[StoreFailure, ...]
    warned: tuple[tuple[str, int], ...] = ()

    @classmethod
    def together(cls, outcomes: Iterable[StoreOutcome]) -> StoreOutcome:
        """Return the outcomes of several requests as one."""
        every = list(outcomes)
        return cls(
            tuple(path for one in every for path in one.stored),
            tuple(failure for one in every for failure in one.failed),
            tuple(warning for one in every for warning in one.warned),
        )

    def require_all(self) -> StoreOutcome:
        """Return this when every instance was stored.

        Raises
        ------
        ImagesNotStored
            Naming at most three.
        """
        if self.failed:
            named = "; ".join(map(str, self.failed[:3]))
            count = len(self.failed) + len(self.stored)
            raise ImagesNotStored(f"{len(self.failed)} of {count} instances were not stored ({named})", self)
        return self


def _class_of(reason: int) -> str:
    if reason & 0xFF00 == 0xA700:
        return "out of resources"
    if reason & 0xFF00 == 0xA900:
        return "data set does not match the SOP class"
    return "cannot understand" if reason & 0xF000 == 0xC000 else "failure"
