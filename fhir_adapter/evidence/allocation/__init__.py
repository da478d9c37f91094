"""A plan of beds as FHIR: proposals (Task), recommended placements, risks of having no bed, and a summary a ward.

Nothing of it moves anybody. A Task of intent ``proposal`` is ``requested`` until a clinician accepts or rejects it
(FHIR R4 task.html#statemachine; R4 has no status "proposed"); the results are ``preliminary`` and labelled as made by
AI. Everything is of one transaction with one Provenance. What an earlier plan said and this one says again is left as
it is; what no longer holds is cancelled (Task) or marked as superseded, with ``ifMatch`` on the version that was read.

::

    objects -> resources -> transaction -> answers
"""

from fhir_adapter.evidence.allocation.answers import accepted, rejected
from fhir_adapter.evidence.allocation.objects import Placement, PlanContext, WardSummary
from fhir_adapter.evidence.allocation.resources import OPEN, proposal_of
from fhir_adapter.evidence.allocation.transaction import plan_evidence

__all__ = ["OPEN", "Placement", "PlanContext", "WardSummary", "accepted", "plan_evidence", "proposal_of", "rejected"]
