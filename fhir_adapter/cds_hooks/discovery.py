"""The list of services (CDS Hooks 2.0, Discovery)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhir_adapter.cds_hooks.cards import compact
from fhir_adapter.codes import Json

__all__ = ["ServiceDescription", "discovery"]


@dataclass(frozen=True)
class ServiceDescription:
    """What an EHR is told of one service.

    Parameters
    ----------
    id, hook, title, description : str
    prefetch : mapping of str to str
        FHIR queries by key.
    requirements : str
        What it needs beyond the prefetch.
    """

    id: str
    hook: str
    title: str
    description: str
    prefetch: Mapping[str, str]
    requirements: str = ""

    def __post_init__(self) -> None:
        if not (self.id and self.hook and self.description):
            raise ValueError("a service has an id, a hook and a description")


def discovery(services: Iterable[ServiceDescription]) -> Json:
    """Return the document at ``{base}/cds-services``; without services its array is empty."""
    return {
        "services": [
            compact(
                {
                    "hook": service.hook,
                    "title": service.title,
                    "description": service.description,
                    "id": service.id,
                    "prefetch": dict(service.prefetch),
                    "usageRequirements": service.requirements,
                }
            )
            for service in services
        ]
    }
