"""The twin's authorization server before a client that is not ours: Authlib's own, from discovery to refresh."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey

from infra.local.ehrfront import Client
from tests.peering import require_peer

pytestmark = pytest.mark.peer("Authlib")
REDIRECT = "http://127.0.0.1/callback"
PATIENT = "p1"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Any]:
    require_peer("Authlib", module="authlib")
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    from infra.local.twin import Twin

    with Twin(tmp_path) as running:
        for name in (PATIENT, "p2"):
            running.fhir.put(f"Patient/{name}", json={"resourceType": "Patient", "id": name}).raise_for_status()
        yield running


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_authlibs_client_gets_in_refreshes_and_is_refused_what_it_may_not(twin: Any) -> None:
    from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]
    from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]

    key = ECKey.generate_key("P-384", {"kid": secrets.token_hex(4), "alg": "ES384", "use": "sig"})
    scopes = ("patient/Patient.r",)
    public = {"keys": [key.as_dict(private=False)]}
    twin.front.authority.register(Client("stranger", (REDIRECT,), public, frozenset(scopes)))
    offered = httpx.get(f"{twin.ehr.base_url}/.well-known/smart-configuration", trust_env=False).json()
    launch = launched(twin)
    client = OAuth2Client(
        "stranger",
        key,
        scope=" ".join(("launch", "openid", "fhirUser", "online_access", *scopes)),
        redirect_uri=REDIRECT,
        code_challenge_method="S256",
        token_endpoint_auth_method="private_key_jwt",
        trust_env=False,
    )
    verifier = secrets.token_urlsafe(64)
    asked, state = client.create_authorization_url(
        offered["authorization_endpoint"],
        code_verifier=verifier,
        aud=twin.ehr.base_url,
        launch=launch["launch"],
        nonce="n",
    )
    back = launch["http"].get(asked)
    assert back.status_code == 303 and back.headers["location"].startswith(REDIRECT)
    answer = parse_qs(urlsplit(back.headers["location"]).query)
    assert answer["state"] == [state] and answer["iss"] == [offered["issuer"]]
    # an hour, as Authlib would have it by default, is too long here; the code is not spent by what is refused
    sign_in_with(client, key, offered["token_endpoint"], 3600)
    with pytest.raises(OAuthError, match="invalid_client"):
        client.fetch_token(offered["token_endpoint"], code=answer["code"][0], code_verifier=verifier)
    sign_in_with(client, key, offered["token_endpoint"], 240)
    token = client.fetch_token(offered["token_endpoint"], code=answer["code"][0], code_verifier=verifier)
    assert token["patient"] == PATIENT and token["token_type"] == "Bearer"
    assert claims_of(token["id_token"], offered["jwks_uri"])["aud"] == "stranger"
    statuses = {path: client.get(f"{twin.ehr.base_url}/{path}").status_code for path in ("Patient/p1", "Patient/p2")}
    assert statuses == {"Patient/p1": 200, "Patient/p2": 403}
    assert client.get(f"{twin.ehr.base_url}/Observation", params={"patient": PATIENT}).status_code == 403
    before = token["refresh_token"]
    with pytest.raises(OAuthError, match="invalid_client"):  # the same jti as before
        client.refresh_token(offered["token_endpoint"], refresh_token=before)
    sign_in_with(client, key, offered["token_endpoint"], 240)
    again = client.refresh_token(offered["token_endpoint"], refresh_token=before)
    assert again["refresh_token"] != before and again["access_token"] != token["access_token"]
    launch["http"].close()
    client.close()


def launched(twin: Any) -> dict[str, Any]:
    """Open the list and a chart as a browser does, and return the launch that came of it."""
    http = httpx.Client(base_url=twin.front_url, trust_env=False)
    assert http.get("/").status_code == 200
    # a browser sends Secure cookies to localhost (Secure Contexts, 3.1); httpx does not
    cookie = http.cookies.get("__Host-twin-ehr")
    http.cookies.clear()
    http.headers["Cookie"] = f"__Host-twin-ehr={cookie}"
    to = http.get(f"/patients/{PATIENT}/launch")
    assert to.status_code == 303
    query = parse_qs(urlsplit(to.headers["location"]).query)
    assert query["iss"] == [twin.ehr.base_url]
    return {"launch": query["launch"][0], "http": http}


def sign_in_with(client: Any, key: ECKey, url: str, seconds: int) -> None:
    """Have Authlib's client show who it is by an assertion that lasts so long; one method signs one assertion."""
    from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped]

    header = {"kid": key.kid, "typ": "JWT"}
    claims = {"exp": int(time.time()) + seconds}
    client.register_client_auth_method(PrivateKeyJWT(url, alg="ES384", headers=header, claims=claims))


def claims_of(token: str, jwks_uri: str) -> Any:
    """Verify an id_token with the published keys."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set(httpx.get(jwks_uri, trust_env=False).json())
    return jwt.decode(token, keys, algorithms=["RS256"]).claims
