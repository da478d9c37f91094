"""Keys and tenants in AWS: where they are kept, what is published of them, and the command that turns them over."""

from __future__ import annotations

import argparse
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.parameters import ssm

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import new_key, public_set, signing_key
from fhir_adapter.tenants import MemoryTenants
from functions.receiver.api import Receiver
from functions.receiver.jwks import jwks_response
from functions.serving.cloud import MemoryQueue
from functions.serving.tenants import ParameterTenants, SecretKeys, SecretTenants
from infra.cli import keys
from tests.functional.conftest import Cloud
from tests.samples import tenant, tenant_json

EC, RSA = new_key("ES384"), new_key("RS384")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        keys.configure(parser)
        status = keys.run(parser.parse_args(words))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def forget() -> None:
    """Have Powertools read anew, as it does after five minutes."""
    ssm.DEFAULT_PROVIDERS.clear()


def private(stored: Any) -> list[str]:
    return [value for key in stored["keys"] for name, value in key.items() if name in ("d", "p", "q", "dp", "dq", "qi")]


@pytest.mark.conformance("A04", "B01")
@pytest.mark.parametrize("alg", ["ES384", "RS384"])
def test_a_key_lives_from_new_to_retired(tmp_path: Path, command: Any, alg: str) -> None:
    file = tmp_path / "keys" / "ehr.json"

    def go(*words: str) -> dict[str, Any]:
        status, out, err = command(*words, "--file", str(file), "--json")
        assert (status, err) == (0, "")
        assert not any(secret in out for secret in private(json.loads(file.read_text())))
        if os.name == "posix":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        return dict(json.loads(out))

    def published(report: dict[str, Any]) -> list[str]:
        return [key["kid"] for key in report["jwks"]["keys"]]

    first = go("new", "--alg", alg)
    (old,) = published(first)
    assert first["signing"] == {alg: old}
    staged = go("rotate", "--stage")
    new = next(kid for kid in published(staged) if kid != old)
    assert staged["signing"] == {alg: old}
    promoted = go("rotate", "--promote", new)
    assert promoted["signing"] == {alg: new}
    assert set(published(promoted)) == {old, new}
    assert signing_key(json.loads(file.read_text()), alg, None, "ehr").kid == new  # type: ignore[arg-type]
    retired = go("rotate", "--retire", old)
    assert published(retired) == [new]
    assert go("list") == retired
    at_once = go("rotate")
    assert len(published(at_once)) == 2
    assert at_once["signing"][alg] != new
    assert list(file.parent.iterdir()) == [file]


def test_what_cannot_be_done_is_told(tmp_path: Path, command: Any) -> None:
    file = str(tmp_path / "ehr.json")
    for words, told in (
        (("list",), "does not exist"),
        (("rotate",), "`bedside keys new` makes the first key"),
    ):
        status, _, err = command(*words, "--file", file)
        assert status == 1
        assert told in err
    assert command("new", "--file", file)[0] == 0
    kid = json.loads(Path(file).read_text())["keys"][0]["kid"]
    for words, told in (
        (("new",), "holds keys already"),
        (("rotate", "--promote", "other"), "holds no key 'other'"),
        (("rotate", "--retire", kid), "the last key"),
    ):
        status, _, err = command(*words, "--file", file)
        assert status == 1
        assert told in err
    status, out, _ = command("list", "--file", file)
    assert status == 0
    assert f"ES384  {kid}  signs" in out


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_a_key_file_that_others_can_read_is_not_used(tmp_path: Path, command: Any) -> None:
    file = tmp_path / "ehr.json"
    file.write_text(json.dumps(EC))
    file.chmod(0o644)
    status, _, err = command("rotate", "--file", str(file))
    assert status == 1
    assert "chmod 600" in err
    assert EC["d"] not in err


@pytest.mark.conformance("A02", "A03", "A04", "B01")
def test_secrets_are_signed_with_and_their_public_halves_are_served(
    cloud: Cloud, command: Any, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    where = ("--secret", "ehr", "--jwks-parameter", "/bedside/jwks")
    assert command("new", *where)[0] == 0
    assert (
        command("new", "--alg", "RS384", "--secret", "bedside/keys/other", "--jwks-parameter", "/bedside/jwks")[0] == 0
    )
    assert command("rotate", *where)[0] == 0
    stored = SecretKeys().get("ehr")
    assert len(stored["keys"]) == 2
    parameter = boto3.client("ssm").get_parameter(Name="/bedside/jwks")["Parameter"]
    assert not any(secret in parameter["Value"] for secret in private(stored))

    monkeypatch.setenv("JWKS_PARAMETER", "/bedside/jwks")
    event = {
        "version": "2.0",
        "rawPath": "/.well-known/jwks.json",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/.well-known/jwks.json"}, "stage": "$default"},
    }
    answer = Receiver(MemoryTenants(tenant()), MemoryQueue())(event, lambda_context)
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "public, max-age=3600"
    served = json.loads(answer["body"])["keys"]
    assert sorted(key["alg"] for key in served) == ["ES384", "ES384", "RS384"]
    assert {key["kid"] for key in served} >= {key["kid"] for key in stored["keys"]}
    assert all(set(key) <= {"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"} for key in served)

    kid = stored["keys"][1]["kid"]
    assert command("rotate", "--retire", kid, *where)[0] == 0
    forget()
    body = jwks_response().body
    assert body is not None
    assert len(json.loads(body)["keys"]) == 2
    assert kid not in body


@pytest.mark.conformance("A02")
def test_without_keys_an_empty_set_is_served_and_a_wrong_one_never(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jwks_response().body == '{"keys":[]}'
    monkeypatch.setenv("JWKS_PARAMETER", "/bedside/jwks")
    with pytest.raises(ConfigurationError, match="JWKS_PARAMETER"):
        jwks_response()
    store = boto3.client("ssm")
    for wrong in ("CANARY", '["CANARY"]', '{"keys": [{"kty": "oct", "k": "CANARY", "kid": "1"}]}'):
        store.put_parameter(Name="/bedside/jwks", Value=wrong, Type="String", Overwrite=True)
        forget()
        with pytest.raises(ConfigurationError) as caught:
            jwks_response()
        assert "CANARY" not in str(caught.value)
    store.put_parameter(Name="/bedside/jwks", Value=json.dumps({"keys": [EC]}), Type="String", Overwrite=True)
    forget()
    body = jwks_response().body
    assert body is not None and json.loads(body) == public_set([EC])


@pytest.mark.conformance("B01")
def test_a_key_that_is_not_there_or_no_key_is_told_without_its_content(cloud: Cloud) -> None:
    secrets = boto3.client("secretsmanager")
    for name, value in (("text", "CANARY"), ("array", '["CANARY"]')):
        secrets.create_secret(Name=f"bedside/keys/{name}", SecretString=value)
    for name, told in (
        ("absent", "does not exist"),
        ("text", "not JSON"),
        ("array", "not a JWK"),
        ("../tenants", "does not exist"),
        ("a b", "not the name"),
    ):
        with pytest.raises(ConfigurationError, match=told) as caught:
            SecretKeys().get(name)
        assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("kind", ["secret", "parameter"])
def test_tenants_by_name_and_all_names(cloud: Cloud, kind: str) -> None:
    described = {name: json.dumps({**tenant_json(), "name": name}) for name in ("second", "wrong", "general")}
    described |= {"wrong": json.dumps({**tenant_json(), "name": "other"}), "Odd Name": "{}"}
    described["text"] = "CANARY"
    store: SecretTenants
    if kind == "secret":
        store, secrets = SecretTenants("bedside/tenants/"), boto3.client("secretsmanager")
        del described["general"]  # the cloud of the tests has it
        for name, value in described.items():
            secrets.create_secret(Name=f"bedside/tenants/{name.replace(' ', '_')}", SecretString=value)
        secrets.create_secret(Name="elsewhere/bedside/tenants/no", SecretString="{}")
    else:
        store, client = ParameterTenants("/bedside/tenants/"), boto3.client("ssm")
        for name, value in described.items():
            path = f"/bedside/tenants/{name.replace(' ', '_')}"
            client.put_parameter(Name=path, Value=value, Type="SecureString")
    assert store.names() == ["general", "second", "text", "wrong"]
    found = store.get("general")
    assert found is not None and found.fhir_base == "https://ehr.test/fhir"
    assert store.get("absent") is None
    assert store.get("absent") is None
    assert store.get("../general") is None
    with pytest.raises(ConfigurationError, match="another tenant"):
        store.get("wrong")
    with pytest.raises(ConfigurationError, match="tenant 'text': the secret is not JSON") as caught:
        store.get("text")
    assert "CANARY" not in str(caught.value)
