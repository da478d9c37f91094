"""Which references point into one EHR, decided for one or for a thousand at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from fhir_adapter.references import relative_reference

__all__ = ["Origin"]


class Origin:
    """Turns references into ``Type/id`` of one FHIR server (FHIR R4 references.html#literal).

    Parameters
    ----------
    base : str
        FHIR base URL.
    """

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def __call__(self, reference: str) -> str | None:
        """Return ``Type/id``, or None when the reference points elsewhere."""
        return relative_reference(self._base, reference)

    def all(self, references: Sequence[str | None]) -> list[str | None]:
        """Do the same for many: one search over all of them, when every one is there and plain."""
        if len(references) > 1 and None not in references:
            lines = "\n".join(references)  # type: ignore[arg-type]
            found: list[str | None] = _plain_lines(self._base).findall(lines)
            if len(found) == len(references) == lines.count("\n") + 1:
                return found
        return [None if reference is None else self(reference) for reference in references]


@lru_cache(maxsize=256)
def _plain_lines(base: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:{re.escape(base)}/)?([A-Z][A-Za-z]{{1,63}}/[A-Za-z0-9\-.]{{1,64}})$", re.MULTILINE)
