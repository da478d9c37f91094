"""A FHIR client: read, search, batch, transaction; plain dicts in and out.

Requests that are safe to repeat are retried (:mod:`fhir_adapter.retry`) within one deadline. No redirect is followed,
and the bearer token goes to the tenant's own base only: a ``next`` link or reference elsewhere is refused (SMART App
Launch 2.2, Best Practices).
"""

from fhir_adapter.client.bundles import BatchAnswer
from fhir_adapter.client.fhir import FhirClient
from fhir_adapter.retry import RetryPolicy

__all__ = ["BatchAnswer", "FhirClient", "RetryPolicy"]
