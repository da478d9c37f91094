from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.egress import (
    EgressRefused,
    GuardedTransport,
    PinnedTransport,
    refusal_of,
    tls_context,
    transport_for,
    within,
)
from fhir_adapter.errors import FhirUnavailable
from fhir_adapter.tenants import Tenant
from tests.samples import tenant, tenant_json

ORIGINS = {"https://ehr.test:443", "https://login.test:8443"}


class Inner(httpx.BaseTransport):
    """Counts what reaches it."""

    def __init__(self, response: httpx.Response | None = None) -> None:
        self.urls: list[str] = []
        self.response = response or httpx.Response(200, json={})

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(str(request.url))
        return self.response


@pytest.mark.parametrize("url", ["https://ehr.test/fhir/Patient/1", "https://login.test:8443/token"])
def test_the_tenants_own_hosts_are_reached(url: str) -> None:
    inner = Inner()
    with httpx.Client(transport=GuardedTransport("general", ORIGINS, inner)) as http:
        assert http.get(url).status_code == 200
    assert inner.urls == [url]


@pytest.mark.conformance("B09", "A60")
@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.test/fhir",
        "http://ehr.test/fhir",
        "http://ehr.test:443/fhir",
        "https://ehr.test:8443/fhir",
        "https://login.test/token",
        "https://ehr.test.evil.test/fhir",
        "https://ehr.test@evil.test/fhir",
        "https://user:pass@ehr.test/fhir",
        "https://ehr.test./fhir",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/",
        "https://2852039166/",
    ],
)
def test_everything_else_is_not(url: str) -> None:
    inner = Inner()
    with (
        httpx.Client(transport=GuardedTransport("general", ORIGINS, inner)) as http,
        pytest.raises(EgressRefused, match="tenant 'general'") as caught,
    ):
        http.get(url)
    assert inner.urls == []
    assert "evil" not in str(caught.value)


@pytest.mark.conformance("B09")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
def test_no_redirect_is_followed_even_to_the_tenant_itself(status: int) -> None:
    inner = Inner(httpx.Response(status, headers={"location": "https://ehr.test/other"}))
    with (
        httpx.Client(transport=GuardedTransport("general", ORIGINS, inner), follow_redirects=True) as http,
        pytest.raises(EgressRefused, match="redirect"),
    ):
        http.get("https://ehr.test/fhir")
    assert len(inner.urls) == 1


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("93.184.216.34", None, None),
        ("2606:2800:220:1:248:1893:25c8:1946", None, None),
        ("10.1.2.3", "private", None),
        ("172.16.0.1", "private", None),
        ("192.168.1.1", "private", None),
        ("100.64.0.1", "private", None),
        ("127.0.0.1", "private", None),
        ("::1", "private", None),
        ("fd12::1", "private", None),
        ("::ffff:127.0.0.1", "private", None),
        ("64:ff9b::10.0.0.1", "private", None),
        ("2002:0a00:0001::1", "private", None),
        ("64:ff9b::5db8:d822", None, None),
        # whatever the tenant allows
        ("169.254.169.254", "metadata", "metadata"),
        ("169.254.170.2", "metadata", "metadata"),
        ("fe80::1", "metadata", "metadata"),
        ("fd00:ec2::254", "metadata", "metadata"),
        ("100.100.100.200", "metadata", "metadata"),
        ("::ffff:169.254.169.254", "metadata", "metadata"),
        ("64:ff9b::a9fe:a9fe", "metadata", "metadata"),
        ("0.0.0.0", "unspecified", "unspecified"),
        ("::", "unspecified", "unspecified"),
        ("224.0.0.1", "multicast", "multicast"),
        ("ff02::1", "multicast", "multicast"),
    ],
)
def test_addresses(address: str, public: str | None, private: str | None) -> None:
    for expected, allow in ((public, False), (private, True)):
        reason = refusal_of(ipaddress.ip_address(address), allow)
        assert (reason is None) if expected is None else (reason is not None and expected in reason)


@pytest.mark.conformance("B09", "B10")
@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://ehr.test/fhir", True),
        ("https://ehr.test/fhir?page=2", True),
        ("https://ehr.test/fhir/Patient?name=a..b", True),
        ("https://ehr.test:443/fhir/Patient", True),
        ("https://EHR.test/fhir/Patient", True),
        ("https://ehr.test/fhirs/Patient", False),
        ("https://ehr.test/other", False),
        ("https://ehr.test/fhir/../admin", False),
        ("https://ehr.test/fhir/%2e%2e/admin", False),
        ("https://ehr.test/fhir/..%2fadmin", False),
        ("https://ehr.test/fhir\\..\\admin", False),
        ("http://ehr.test/fhir", False),
        ("https://ehr.test:444/fhir", False),
        ("https://x@ehr.test/fhir", False),
        ("https://ehr.test.evil.test/fhir", False),
        ("//ehr.test/fhir", False),
        ("/fhir/Patient", False),
        ("https://ehr.test/\x00fhir", False),
        ("", False),
    ],
)
def test_what_lies_within_a_base(url: str, inside: bool) -> None:
    assert within("https://ehr.test/fhir", url) is inside


class Server:
    """Answers every connection of a loopback port with one HTTP response, over TLS where it has a context."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.hosts: list[str] = []
        self.names: list[str | None] = []
        self._context = context
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) if self._context else plain as connection:
                    head = connection.recv(65536).decode()
                    self.hosts.append(next(line for line in head.split("\r\n") if line.lower().startswith("host:")))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            except (OSError, StopIteration):
                plain.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def test_connects_to_the_address_it_checked_and_keeps_the_name(server: Server) -> None:
    asked: list[str] = []

    def resolver(host: str, _port: int) -> list[str]:
        asked.append(host)
        # what a rebinding DNS would say the second time
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    transport = PinnedTransport("general", allow_private=True, resolver=resolver)
    with httpx.Client(transport=transport) as http:
        assert http.get(f"http://ehr.test:{server.port}/fhir").json() == {}
        assert asked == ["ehr.test"]
        assert server.hosts == [f"Host: ehr.test:{server.port}"]
        with pytest.raises(EgressRefused, match="metadata"):
            http.get(f"http://ehr.test:{server.port}/fhir")
    assert len(server.hosts) == 1


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_leads_inside_is_not_connected_to(server: Server, addresses: list[str]) -> None:
    transport = PinnedTransport("general", resolver=lambda _host, _port: addresses)
    with httpx.Client(transport=transport) as http, pytest.raises(EgressRefused, match="private"):
        http.get(f"http://ehr.test:{server.port}/")
    assert server.hosts == []


@pytest.mark.parametrize("url", ["http://127.1:{port}/", "http://2130706433:{port}/", "http://0x7f000001:{port}/"])
def test_other_spellings_of_an_address_are_resolved_and_refused(server: Server, url: str) -> None:
    with httpx.Client(transport=PinnedTransport("general")) as http, pytest.raises((EgressRefused, httpx.ConnectError)):
        http.get(url.format(port=server.port))
    assert server.hosts == []


def test_the_next_address_is_tried_and_a_missing_name_is_worth_another_try(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    addresses = {"up.test": ["::1", "127.0.0.1"], "down.test": ["127.0.0.1"]}
    transport = PinnedTransport("general", True, resolver=lambda host, _port: addresses[host])
    with httpx.Client(transport=transport) as http:
        assert http.get(f"http://up.test:{server.port}/").status_code == 200
        with pytest.raises(httpx.ConnectError):
            http.get(f"http://down.test:{closed}/")

    def nobody(_host: str, _port: int) -> list[str]:
        raise socket.gaierror("no such name")

    once = RetryPolicy(attempts=1)
    client = FhirClient.for_tenant(tenant(), retry=once, transport=PinnedTransport("general", resolver=nobody))
    with client, pytest.raises(FhirUnavailable, match="ConnectError"):
        client.read("Patient/1")


def certificate(directory: Path, name: str) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.conformance("B04")
def test_tls_names_and_verifies_the_host_though_an_address_is_connected_to(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "ehr.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    running = Server(context)
    trusting = ssl.create_default_context(cafile=str(pem))

    def get(host: str, verify: ssl.SSLContext) -> Any:
        transport = PinnedTransport("general", True, verify=verify, resolver=lambda _host, _port: ["127.0.0.1"])
        with httpx.Client(transport=transport) as http:
            return http.get(f"https://{host}:{running.port}/").json()

    try:
        assert get("ehr.test", trusting) == {}
        assert running.names == ["ehr.test"]
        for host, verify in (("other.test", trusting), ("ehr.test", tls_context())):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                get(host, verify)
        assert len(running.hosts) == 1
    finally:
        running.close()


@pytest.mark.conformance("B04")
def test_tls_is_recent_and_verified() -> None:
    context = tls_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_tenants_way_out() -> None:
    inner = Inner()
    private = Tenant.from_dict({**tenant_json(), "allow_private": True, "allowed_hosts": ["login.test"]})
    with httpx.Client(transport=transport_for(private, inner)) as http:
        for url in ("https://ehr.test/fhir", "https://login.test/token", "http://login.test/token"):
            assert http.get(url).status_code == 200
        with pytest.raises(EgressRefused):
            http.get("http://ehr.test/fhir")
    assert isinstance(transport_for(tenant()), GuardedTransport)


def test_the_environment_offers_no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.evil.test:3128")
    inner = Inner(httpx.Response(200, json={"resourceType": "Patient"}))
    with FhirClient.for_tenant(tenant(), transport=inner) as client:
        assert client.read("Patient/1") == {"resourceType": "Patient"}
    assert inner.urls == ["https://ehr.test/fhir/Patient/1"]
