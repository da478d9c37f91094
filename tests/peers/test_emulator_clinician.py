"""The functions at the clinician's side as they are built, under AWS's own runtime and runtime interface emulator."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from fhir_adapter.keys import new_key, public_set
from infra.local.aws import LocalAws
from infra.local.emulator import EmulatedFunction
from infra.packaging.artefact import build, local_target
from tests import cds
from tests.peering import require_peer
from tests.samples import tenant_json

pytestmark = pytest.mark.peer("lambda-emulator")
Json = dict[str, Any]
EVENTS = Path(__file__).parents[1] / "events"
ORIGIN = "https://bedside.example.org"
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
package = importlib.import_module(sys.argv[2])
names = [found.name for found in pkgutil.walk_packages(package.__path__, sys.argv[2] + ".")]
for name in [*names, *sys.argv[3:]]:
    importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module", autouse=True)
def peer() -> None:
    require_peer("Lambda runtime interface emulator", "samcli")
    require_peer("Lambda runtime client", "awslambdaric")


@pytest.fixture(scope="module")
def cloud(peer: None) -> Iterator[LocalAws]:
    cloud = LocalAws()
    cloud.start()
    ssm = cloud.client("ssm")
    ssm.put_parameter(Name="/bedside/stack/app-origin", Value=ORIGIN, Type="String")
    ssm.put_parameter(Name="/bedside/jwks", Value=json.dumps(public_set([new_key("ES384")])), Type="String")
    ssm.close()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def artefacts(peer: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    arch, python_version = local_target()
    folder = tmp_path_factory.mktemp("artefacts")
    names = ("receiver", "smart_app", "cds_hooks")
    return {name: build(name, folder / name, arch, python_version).folder for name in names}


def golden(name: str) -> Json:
    loaded: Json = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


@contextmanager
def discovery() -> Iterator[str]:
    """An EHR that does nothing but say where its authorization server is; its FHIR base."""
    said: Json = {
        "capabilities": [
            *("launch-ehr", "context-ehr-patient", "client-public", "sso-openid-connect"),
            *("permission-v2", "permission-patient", "permission-user"),
        ],
        "code_challenge_methods_supported": ["S256"],
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_port}/fhir"
    said |= {name: f"{base}/{name}" for name in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield base
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("function", "libraries"),
    [
        # Loaded when the first picture is asked for.
        ("smart_app", ["fhir_adapter.pixels", "fhir_adapter.waveforms", "pydicom", "PIL.Image", "jpeg_ls", "openjpeg"]),
        ("cds_hooks", ["functions.survival.predict", "onnxruntime"]),
    ],
)
def test_every_module_of_a_function_as_built_can_be_imported(
    artefacts: dict[str, Path], function: str, libraries: list[str]
) -> None:
    """Also those that are loaded late: what is missing would be missed at the bedside."""
    command = [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(artefacts[function]), f"functions.{function}"]
    answer = subprocess.run([*command, *libraries], capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert int(answer.stdout) > 10


def test_the_app_as_built_sends_a_launch_to_the_authorization_server(
    artefacts: dict[str, Path], cloud: LocalAws
) -> None:
    """Our origin comes from Parameter Store and the session key from Secrets Manager, as the stack leaves them."""
    environment = {
        **cloud.environment(),
        "SMART_BASE_URL_PARAMETER": "/bedside/stack/app-origin",
        "SMART_BASE_URL": "",
    }
    event = golden("smart_app_launch")
    with (
        discovery() as base,
        EmulatedFunction("functions.smart_app.app.handler", environment, artefacts["smart_app"], timeout=60) as app,
    ):
        described = {**tenant_json(), "fhir_base": base, "allow_private": True}
        smart = {"client_id": "bedside", "auth": "public", "frame_ancestors": ["https://ehr.example.org"]}
        cloud.put_tenant("general", {**described, "smart": smart})
        stranger = app.invoke(event)
        assert (stranger["statusCode"], stranger["headers"]["Content-Type"][:9]) == (400, "text/html")
        event["rawQueryString"] = urlencode({"iss": base, "launch": "golden-launch"})
        answer = app.invoke(event)
        style = app.invoke({**event, "rawPath": "/smart/-/app.css"} | at("/smart/-/app.css", event))
    assert answer["statusCode"] == 303, answer["body"]
    address = answer["headers"]["Location"]
    assert address.startswith(f"{base}/authorization_endpoint?")
    assert parse_qs(urlsplit(address).query)["redirect_uri"] == [f"{ORIGIN}/smart/general/callback"]
    assert style["statusCode"] == 200
    assert style["headers"]["Content-Type"].startswith("text/css")


def test_the_cds_services_as_built_answer_with_a_card(artefacts: dict[str, Path], cloud: LocalAws) -> None:
    """Computed in the artefact: it carries the packages of the survival function and what runs them."""
    client = {"iss": cds.ISS, "jwks": cds.JWKS}
    cloud.put_tenant("general", {**tenant_json(), "cds_hooks": cds.settings(clients=[client])})
    event, path = golden("cds_hooks_patient_view"), f"/cds-services/{cds.PATIENT_VIEW}"
    with EmulatedFunction(
        "functions.cds_hooks.app.handler", cloud.environment(), artefacts["cds_hooks"], timeout=60
    ) as function:
        refused = function.invoke(event)
        event["headers"]["authorization"] = f"Bearer {cds.token(cds.claims(path), jku=None)}"
        answer = function.invoke(event)
        again = function.invoke(event)
    assert refused["statusCode"] == 401
    assert answer["statusCode"] == 200, answer["body"]
    (card,) = json.loads(answer["body"])["cards"]
    assert "Worked out just now" in card["detail"]
    assert (again["statusCode"], cds.issue(again)["code"]) == (401, "login"), "a token counts once, in DynamoDB"


def test_the_receiver_as_built_shows_our_public_keys(artefacts: dict[str, Path], cloud: LocalAws) -> None:
    event = golden("smart_app_launch")
    path = "/.well-known/jwks.json"
    environment = {**cloud.environment(), "JWKS_PARAMETER": "/bedside/jwks"}
    with EmulatedFunction("functions.receiver.app.handler", environment, artefacts["receiver"]) as function:
        answer = function.invoke({**event, "rawPath": path, "rawQueryString": ""} | at(path, event))
    assert answer["statusCode"] == 200, answer["body"]
    (key,) = json.loads(answer["body"])["keys"]
    assert key["crv"] == "P-384" and "d" not in key


def at(path: str, event: Json) -> Json:
    """The context of a request for another path."""
    context = event["requestContext"]
    return {"requestContext": {**context, "http": {**context["http"], "path": path}}}
