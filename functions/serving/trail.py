"""The AuditEvents of answering one event, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fhir_adapter.audit import Auditor, AuditSink, audited
from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.evidence import check, device_id
from fhir_adapter.prediction import ModelIdentity
from fhir_adapter.tenants import Tenant
from fhir_adapter.writing import write
from functions.serving.events import Event
from functions.serving.package import ModelPackage
from functions.serving.reading import Read

__all__ = ["Trail"]


@dataclass
class Trail:
    """What one attempt read and wrote.

    Parameters
    ----------
    tenant : Tenant
        Says whether its EHR keeps AuditEvents.
    client : FhirClient
    sink : AuditSink
        Where they go when it does not.
    """

    tenant: Tenant
    client: FhirClient
    sink: AuditSink
    _auditor: Auditor
    _event: str
    _patients: Sequence[str]
    _events: list[Json] = field(default_factory=list)

    @classmethod
    def begin(
        cls, event: Event, read: Read, tenant: Tenant, client: FhirClient, package: ModelPackage, sink: AuditSink
    ) -> Trail:
        """Begin with what was read of one patient."""
        return cls.opened(event.id, (read.patient,), read.asked, tenant, client, package.identity, sink)

    @classmethod
    def opened(
        cls,
        event: str,
        patients: Sequence[str],
        asked: Sequence[str],
        tenant: Tenant,
        client: FhirClient,
        model: ModelIdentity,
        sink: AuditSink,
    ) -> Trail:
        """Begin with what was read.

        Parameters
        ----------
        event : str
            Id of what made us look.
        patients : sequence of str
            In whose records: ``Patient/{id}`` each.
        asked : sequence of str
            The searches, relative to the FHIR base.
        """
        machine = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "bedside")
        device = f"Device/{device_id(model)}"
        auditor = Auditor(tenant.name, tenant.organization, tenant.fhir_base, machine, device, check)
        looked = auditor.read(event, patients, asked, datetime.now(UTC))
        return cls(tenant, client, sink, auditor, event, patients, [looked])

    def along(self, bundle: Json, main: str) -> Json:
        """Note a write, and let the transaction take the AuditEvents along where the EHR keeps them."""
        others = [name for entry in bundle["entry"] if (name := entry["request"]["url"]) != main]
        self._events.append(self._auditor.write(self._event, self._patients, main, others, datetime.now(UTC)))
        return audited(bundle, self._events) if self.tenant.audit == "ehr" else bundle

    def written(self) -> None:
        """Keep what the transaction did not take along."""
        if self.tenant.audit != "ehr":
            self.keep()

    def keep(self) -> None:
        """Keep AuditEvents that no result takes along."""
        if self.tenant.audit == "ehr":
            write(self.client, audited(None, self._events))
            return
        for event in self._events:
            self.sink.record(event)
