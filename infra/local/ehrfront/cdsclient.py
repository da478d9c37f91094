"""The EHR as a CDS client: each call with a token of its own, signed for the very address that is called."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

__all__ = ["CdsCaller"]

Json = dict[str, Any]
TOKEN_SECONDS = 240
# An EHR does not wait for advice for long.
PATIENCE_SECONDS = 20.0


class CdsCaller:
    """Calls the services of one base URL (CDS Hooks 2.0).

    Parameters
    ----------
    url : str
        Base URL, before ``/cds-services``.
    issuer : str
        ``iss`` of its tokens.
    """

    def __init__(self, url: str, issuer: str) -> None:
        self.url = url
        self.issuer = issuer
        self._key = ECKey.generate_key("P-384", {"kid": uuid4().hex[:8], "use": "sig", "alg": "ES384"})
        self._http = httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False)

    @property
    def jwks(self) -> Json:
        """The public key, to be registered at the service."""
        return {"keys": [self._key.as_dict(private=False)]}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def services(self) -> list[Json]:
        """Return the services, empty where they cannot be had."""
        status, found = self._ask("GET", "/cds-services")
        return list(found.get("services", [])) if status == 200 else []

    def call(self, service: str, body: Mapping[str, Any]) -> tuple[int, Json]:
        """Call a service; returns status and answer."""
        return self._ask("POST", f"/cds-services/{service}", body)

    def feedback(self, service: str, entry: Mapping[str, Any]) -> int:
        """Tell what became of a card; returns the status."""
        return self._ask("POST", f"/cds-services/{service}/feedback", {"feedback": [entry]})[0]

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Json]:
        address = self.url + path
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": address, "iat": now, "exp": now + TOKEN_SECONDS, "jti": str(uuid4())}
        header = {"alg": "ES384", "typ": "JWT", "kid": self._key.kid}
        token = jwt.encode(header, claims, self._key, algorithms=["ES384"])
        try:
            answer = self._http.request(method, address, json=body, headers={"Authorization": f"Bearer {token}"})
            found = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError):
            # advice that does not come must not stand in anybody's way
            return 0, {}
        return answer.status_code, found if isinstance(found, dict) else {}
