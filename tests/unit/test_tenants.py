from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants import BackendServicesAuth, BearerAuth, FileTenants, MemoryTenants, NoAuth, Tenant
from tests.samples import SECRET, tenant, tenant_json

CANARY = "canary-secret-that-must-not-be-shown"
BACKEND = {"type": "backend-services", "client_id": "bedside", "scopes": ["system/Patient.rs"], "key": "ehr"}


def full(**more: Any) -> dict[str, Any]:
    return {
        **tenant_json(hmac_secret=SECRET, signature_header="X-Hook-Signature", topic="http://ehr.test/topic"),
        "fhir_version": "4.0.1",
        "dicomweb_root": "https://pacs.test/dicom-web/",
        "auth": {**BACKEND, "alg": "RS384", "kid": "k1", "jwks_url": "https://bedside.test/.well-known/jwks.json"},
        "allowed_hosts": ["login.test", "bulk.test:8443"],
        "locale": "de-AT",
        "time_zone": "Europe/Vienna",
        "code_systems": ["http://loinc.org", "urn:oid:1.2.3"],
        "audit": "ehr",
        **more,
    }


def test_reads_everything_a_tenant_says() -> None:
    found = Tenant.from_dict(full())
    assert found.fhir_version == "4.0"
    assert found.dicomweb_root == "https://pacs.test/dicom-web"
    assert isinstance(found.auth, BackendServicesAuth)
    assert (found.auth.alg, found.auth.kid, found.auth.scopes) == ("RS384", "k1", ("system/Patient.rs",))
    assert (found.locale, found.time_zone) == ("de-AT", "Europe/Vienna")
    assert found.code_systems == ("http://loinc.org", "urn:oid:1.2.3")
    assert found.audit == "ehr"
    assert found.origins == {
        "https://ehr.test:443",
        "https://pacs.test:443",
        "https://login.test:443",
        "https://bulk.test:8443",
    }
    assert found.subscriptions["admissions"].hmac_secret == SECRET
    assert found.subscriptions["admissions"].signature_header == "X-Hook-Signature"


def test_what_was_written_before_is_still_read() -> None:
    found = tenant()
    assert isinstance(found.auth, BearerAuth)
    assert found.token == "token-for-the-tests-only"
    twin = {
        "name": "twin",
        "fhir_base": "http://127.0.0.1:8081/fhir",
        "auth": {"type": "bearer", "token": "abc-DEF_123"},
        "organization": "Bedside twin",
        "allow_private": True,
        "subscriptions": {"admissions": {"secret": SECRET, "criteria": "Encounter?class=IMP", "models": ["m"]}},
    }
    assert Tenant.from_dict(twin).origins == {"http://127.0.0.1:8081"}
    del twin["auth"]
    assert isinstance(Tenant.from_dict(twin).auth, NoAuth)


def test_scopes_may_be_one_text() -> None:
    found = Tenant.from_dict(full(auth={**BACKEND, "scopes": "system/Patient.rs system/*.cruds"}))
    assert isinstance(found.auth, BackendServicesAuth)
    assert found.auth.scopes == ("system/Patient.rs", "system/*.cruds")
    assert found.auth.alg == "ES384"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fhir_base": "http://ehr.test/fhir"}, "fhir_base"),
        ({"fhir_base": "ftp://ehr.test/fhir"}, "fhir_base"),
        ({"fhir_base": "https://user:pass@ehr.test/fhir"}, "fhir_base"),
        ({"fhir_base": "https://ehr.test/fhir?x=1"}, "fhir_base"),
        ({"fhir_base": "https://ehr.test/a/../fhir"}, "fhir_base"),
        ({"fhir_base": "https://ehr.test\\@evil.test/"}, "fhir_base"),
        ({"fhir_base": "https://EHR.test/fhir"}, "fhir_base"),
        ({"fhir_base": "https://ehr.test:99999/fhir"}, "fhir_base"),
        ({"fhir_base": "https://bücher.test/fhir"}, "fhir_base"),
        ({"fhir_base": "https://[::1/fhir"}, "fhir_base"),
        ({"fhir_base": 5}, "fhir_base"),
        ({"fhir_version": "3.0"}, "fhir_version"),
        ({"dicomweb_root": "http://pacs.test"}, "dicomweb_root"),
        ({"allowed_hosts": ["https://login.test"]}, "allowed_hosts"),
        ({"allowed_hosts": "login.test"}, "allowed_hosts"),
        ({"allowed_hosts": ["*.test"]}, "allowed_hosts"),
        ({"locale": "german!"}, "locale"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"time_zone": "Europe"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"code_systems": ["loinc"]}, "code_systems"),
        ({"allow_private": "yes"}, "allow_private"),
        ({"alow_private": True}, "alow_private"),
        ({"auth": {"type": "basic", "password": CANARY}}, "auth.type"),
        ({"auth": {"type": "bearer"}}, "token"),
        ({"auth": {"type": "bearer", "token": CANARY + "\r\nX: y"}}, "auth.token"),
        ({"auth": {"type": "bearer", "token": "t", "client_secret": CANARY}}, "client_secret"),
        ({"auth": {**BACKEND, "alg": "HS256"}}, "auth.alg"),
        ({"auth": {**BACKEND, "alg": "none"}}, "auth.alg"),
        ({"auth": {**BACKEND, "scopes": ["patient/Patient.rs"]}}, "auth.scopes"),
        ({"auth": {**BACKEND, "scopes": ["system/Patient.sr"]}}, "auth.scopes"),
        ({"auth": {**BACKEND, "scopes": ["system/Patient."]}}, "auth.scopes"),
        ({"auth": {**BACKEND, "scopes": []}}, "auth.scopes"),
        ({"auth": {**BACKEND, "token_url": "http://ehr.test/token"}}, "auth.token_url"),
        ({"auth": {**BACKEND, "key": {"d": CANARY}}}, "auth.key"),
        ({"subscriptions": {"a": {"secret": CANARY[:9], "criteria": "Encounter", "models": []}}}, "secret"),
        ({"subscriptions": {"a": {"secret": CANARY, "models": []}}}, "criteria"),
        (
            {"subscriptions": {"a": {"secret": CANARY, "criteria": "E", "models": [], "hmac_secrt": CANARY}}},
            "hmac_secrt",
        ),
        (
            {"subscriptions": {"a": {"secret": CANARY, "criteria": "E", "models": [], "hmac_secret": "x"}}},
            "hmac_secret",
        ),
        (
            {"subscriptions": {"a": {"secret": CANARY, "criteria": "E", "models": [], "signature_header": "a b"}}},
            "signature_header",
        ),
        ({"subscriptions": {"a": {"secret": CANARY, "criteria": "E", "models": [], "payload": "all"}}}, "payload"),
        ({"subscriptions": [CANARY]}, "general"),
    ],
)
@pytest.mark.conformance("B01")
def test_errors_name_the_tenant_and_the_key_and_show_no_value(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match="tenant 'general'") as caught:
        Tenant.from_dict({**full(), **change})
    assert named in str(caught.value)
    assert "canary" not in str(caught.value).lower()


@pytest.mark.conformance("B01")
def test_secrets_are_not_shown() -> None:
    for text in (repr(tenant(hmac_secret=CANARY)), str(tenant(hmac_secret=CANARY).auth)):
        assert SECRET not in text
        assert CANARY not in text
        assert "token-for-the-tests-only" not in text


def test_a_connection_changes_with_what_it_depends_on() -> None:
    one, same = Tenant.from_dict(full()), Tenant.from_dict(full(organization="Other name"))
    assert one.connection == same.connection
    assert hash(one.connection) == hash(same.connection)
    assert one.connection != Tenant.from_dict(full(allowed_hosts=["login.test"])).connection
    assert one.connection != Tenant.from_dict(full(auth={"type": "none"})).connection


def test_files_of_every_shape(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(full(name="a")))
    (tmp_path / "b.yaml").write_text("tenants:\n- name: b\n  fhir_base: https://b.test/fhir\n  subscriptions: {}\n")
    (tmp_path / "c.yml").write_text("[{name: c, fhir_base: 'https://c.test', subscriptions: {}}]")
    (tmp_path / "notes.txt").write_text("not read")
    store = FileTenants(tmp_path)
    assert store.names() == ["a", "b", "c"]
    found = store.get("b")
    assert found is not None and found.fhir_base == "https://b.test/fhir"
    assert store.get("d") is None
    assert FileTenants(tmp_path / "a.json").names() == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.json", '{"secret": "' + CANARY, "not JSON"),
        ("t.yaml", "secret: [" + CANARY, "not YAML"),
        ("t.yaml", CANARY, "does not hold a tenant"),
        ("t.yaml", "{name: t, subscriptions: {}}", "'fhir_base' is missing"),
    ],
)
def test_files_that_are_wrong_are_named_and_not_quoted(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError, match=told) as caught:
        FileTenants(tmp_path)
    assert CANARY not in str(caught.value)


def test_no_file_and_two_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.json: cannot be read"):
        FileTenants(tmp_path / "absent.json")
    with pytest.raises(ConfigurationError, match="twice"):
        MemoryTenants(tenant(), tenant())


def test_systems_of_patient_ids_lead_from_issuers_to_system_urls() -> None:
    found = Tenant.from_dict(full(patient_id_systems={"": "urn:oid:1.2.3", "Radiology": "http://h.test/mrn"}))
    assert found.patient_id_systems["Radiology"] == "http://h.test/mrn"
    assert Tenant.from_dict(full()).patient_id_systems == {}
    for wrong in ({"": "mrn"}, {"": 1}, {"": None}, ["urn:oid:1.2.3"], "urn:oid:1.2.3"):
        with pytest.raises(ConfigurationError):
            Tenant.from_dict(full(patient_id_systems=wrong))
