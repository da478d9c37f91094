"""SMART App Launch 2.2, the app's side: from a launch to a token with its context, and on to the end of the session.

Pure protocol: what is to be kept between two requests is handed back to the caller, who binds it to the browser.

::

    configuration  .well-known/smart-configuration, of registered EHRs only
    scopes         what is asked for, and what may be done with what was granted
    launch         a launch becomes a Flow and an authorization request (PKCE, state, nonce, aud)
    callback       the answer to a Flow becomes its code
    exchange       the token endpoint: code, refresh, revocation
    id_token       who the user is
    context        whose chart is open, and around what
    signing_in     the four above in their order
"""

from fhir_adapter.smart.callback import Callback, callback_of, code_of
from fhir_adapter.smart.configuration import Discovery, SmartConfiguration, app_of, read_configuration
from fhir_adapter.smart.context import ContextItem, LaunchContext, context_of, fhir_user_of
from fhir_adapter.smart.errors import (
    AuthorizationDenied,
    CallbackRefused,
    EhrSilent,
    EhrUnsuitable,
    IdTokenRefused,
    LaunchRefused,
    PatientMissing,
    SessionEnded,
    SmartError,
    TokenRefused,
)
from fhir_adapter.smart.exchange import Granted, TokenEndpoint
from fhir_adapter.smart.id_token import IdentityKeys, verified_claims
from fhir_adapter.smart.launch import (
    FLOW_SECONDS,
    Flow,
    Launch,
    begin,
    challenge_of,
    launch_of,
    query_of,
    standalone_launch,
)
from fhir_adapter.smart.scopes import Feature, covers, features_of, is_scope, requested_scopes
from fhir_adapter.smart.signing_in import SignedIn, sign_in

__all__ = [
    "FLOW_SECONDS",
    "AuthorizationDenied",
    "Callback",
    "CallbackRefused",
    "ContextItem",
    "Discovery",
    "EhrSilent",
    "EhrUnsuitable",
    "Feature",
    "Flow",
    "Granted",
    "IdTokenRefused",
    "IdentityKeys",
    "Launch",
    "LaunchContext",
    "LaunchRefused",
    "PatientMissing",
    "SessionEnded",
    "SignedIn",
    "SmartConfiguration",
    "SmartError",
    "TokenEndpoint",
    "TokenRefused",
    "app_of",
    "begin",
    "callback_of",
    "challenge_of",
    "code_of",
    "context_of",
    "covers",
    "features_of",
    "fhir_user_of",
    "is_scope",
    "launch_of",
    "query_of",
    "read_configuration",
    "requested_scopes",
    "sign_in",
    "standalone_launch",
    "verified_claims",
]
