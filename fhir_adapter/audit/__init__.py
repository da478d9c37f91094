"""Who looked at what, and what became of it: AuditEvents (FHIR R4 auditevent.html, IHE ITI BALP).

One AuditEvent for every read of a patient's record, write-back, shown prediction, CDS call, launch, failed token
request and refused notification. They refer to resources and never quote them: no value, no name, no token, no text
of a request's body. Where the EHR keeps an audit record, they are written to it in the transaction of the result;
where it does not, they go to an :class:`AuditSink`.

A patient's id is patient data. It belongs into an AuditEvent that is kept with the record, and into no log:
:func:`redacted` takes everything about the patient out, and what remains leads over the event's id to the ledger,
from there to the result, and from there, for those who may read the record, to the patient.
"""

from fhir_adapter.audit.auditor import Auditor
from fhir_adapter.audit.sinks import AuditSink, LogAudit, MemoryAudit, audited, redacted

__all__ = ["AuditSink", "Auditor", "LogAudit", "MemoryAudit", "audited", "redacted"]
