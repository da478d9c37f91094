"""From a code to a session: exchange, identity, context, in this order, each checked before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fhir_adapter.auth import Token
from fhir_adapter.codes import Json
from fhir_adapter.smart.configuration import SmartConfiguration, app_of
from fhir_adapter.smart.context import LaunchContext, context_of, fhir_user_of
from fhir_adapter.smart.errors import IdTokenRefused, PatientMissing
from fhir_adapter.smart.exchange import TokenEndpoint
from fhir_adapter.smart.id_token import verified_claims
from fhir_adapter.smart.launch import Flow
from fhir_adapter.tenants import Tenant

__all__ = ["SignedIn", "sign_in"]


@dataclass(frozen=True)
class SignedIn:
    """A user at an EHR, with a patient's chart open.

    Parameters
    ----------
    token : Token
        With the scopes as granted.
    refresh_token : str or None
        Never shown.
    context : LaunchContext
        With a patient.
    fhir_user : str or None
        ``Type/id`` of who the user is, where the EHR said so and it is one of its own.
    """

    token: Token
    refresh_token: str | None = field(repr=False)
    context: LaunchContext
    fhir_user: str | None


def sign_in(
    tenant: Tenant,
    flow: Flow,
    code: str,
    redirect_uri: str,
    endpoint: TokenEndpoint,
    configuration: SmartConfiguration,
    keys: Callable[[str | None], Sequence[Json]],
    now: float,
) -> SignedIn:
    """Exchange a code and believe the answer as far as it can be checked.

    Parameters
    ----------
    keys : callable
        The issuer's keys (:meth:`fhir_adapter.smart.IdentityKeys.of`); told the ``kid`` that is looked for.
    now : float
        Seconds since the epoch.

    Raises
    ------
    EhrSilent, TokenRefused, IdTokenRefused, PatientMissing
    """
    granted = endpoint.redeem(code, flow.verifier, redirect_uri)
    claims: Json = {}
    if granted.id_token is not None:
        claims = verified_claims(granted.id_token, configuration, app_of(tenant).client_id, flow.nonce, keys, now)
    elif "openid" in granted.token.scopes:
        raise IdTokenRefused(f"tenant {tenant.name!r}: openid was granted, and no id_token came with it")
    context = context_of(tenant, granted.answer)
    if context.patient is None:
        raise PatientMissing(f"tenant {tenant.name!r}: the token response names no patient")
    # SMART names the claim fhirUser; what reads it is bound to this tenant's base (Scopes and Launch Context).
    return SignedIn(granted.token, granted.refresh_token, context, fhir_user_of(tenant, claims.get("fhirUser")))
