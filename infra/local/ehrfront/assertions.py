"""Who calls the token endpoint: a client's signed assertion, good once (RFC 7523, 3; SMART App Launch 2.2)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

__all__ = ["ASSERTION_TYPE", "Assertions", "OAuthError"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MOST_SECONDS = 300
KEY_TYPES = {"ES384": "EC", "RS384": "RSA"}


class OAuthError(Exception):
    """A refusal, by its code (RFC 6749, 4.1.2.1 and 5.2)."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description, self.status = code, description, status


class Assertions:
    """Checks assertions and remembers each ``jti`` until it ends.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._used: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def claimed(self, form: Mapping[str, str]) -> str:
        """Return whose an assertion says it is; nothing is believed yet."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _refused("client_assertion_type is not that of a JWT")
        try:
            token = jws.extract_compact(form.get("client_assertion", "").encode("ascii"))
            claims = _payload(token)
        except (JoseError, ValueError):
            raise _refused("client_assertion is no JWT") from None
        return str(claims.get("sub"))

    def check(self, form: Mapping[str, str], client_id: str, jwks: Mapping[str, Any], url: str) -> None:
        """Check an assertion and use it up.

        Raises
        ------
        OAuthError
            ``invalid_client``.
        """
        if form.get("client_id", client_id) != client_id:
            raise _refused("client_id beside the assertion is another one (RFC 7521, 4.2)")
        claims = _verified(form["client_assertion"], jwks)
        now = self._clock()
        if claims.get("iss") != client_id or claims.get("sub") != client_id:
            raise _refused("iss and sub must both be the client_id")
        if claims.get("aud") != url:
            raise _refused("aud must be the URL that was called")
        exp, jti = claims.get("exp"), claims.get("jti")
        if isinstance(exp, bool) or not isinstance(exp, int | float) or not now < exp <= now + MOST_SECONDS:
            raise _refused("exp must be to come, and by five minutes at most")
        if not isinstance(jti, str) or not jti:
            raise _refused("jti is missing")
        with self._lock:
            self._used = {key: until for key, until in self._used.items() if until > now}
            if (client_id, jti) in self._used:
                raise _refused("jti was used before")
            self._used[client_id, jti] = float(exp)


def _payload(token: Any) -> dict[str, Any]:
    found = json.loads(token.payload)
    if not isinstance(found, dict):
        raise ValueError("claims are an object")
    return found


def _verified(assertion: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    try:
        header = jws.extract_compact(assertion.encode("ascii")).headers()
        alg, kid = header.get("alg"), header.get("kid")
        fitting = [key for key in jwks["keys"] if key.get("kid") == kid and key["kty"] == KEY_TYPES.get(str(alg))]
        if len(fitting) != 1 or "crit" in header:
            raise _refused("kid and alg must be those of one registered key")
        key: Any = (ECKey if alg == "ES384" else RSAKey).import_key(fitting[0])
        return dict(jwt.decode(assertion, key, algorithms=[str(alg)]).claims)
    except (JoseError, ValueError):
        raise _refused("the signature is not that of a registered key") from None


def _refused(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, 401)
