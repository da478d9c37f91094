"""Our Subscriptions at an EHR: made in the dialect that it offers, watched, repaired, deleted.

::

    manage -> build -> offer

:mod:`~fhir_adapter.subscriptions.offer` reads what a server offers from its CapabilityStatement,
:mod:`~fhir_adapter.subscriptions.build` makes the resource, :mod:`~fhir_adapter.subscriptions.manage` does the rest.
"""

from fhir_adapter.subscriptions.build import Wanted, subscription, subscription_id, wanted_of
from fhir_adapter.subscriptions.manage import State, Subscriptions
from fhir_adapter.subscriptions.offer import Dialect, Offer, read_offer

__all__ = [
    "Dialect",
    "Offer",
    "State",
    "Subscriptions",
    "Wanted",
    "read_offer",
    "subscription",
    "subscription_id",
    "wanted_of",
]
