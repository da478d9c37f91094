"""Events as API Gateway sends them for the two functions at the clinician's side, answered by their handlers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.local.gateway import CDS_ROUTES, SMART_ROUTES
from tests import cds, smart
from tests.fakes import BASE
from tests.samples import admission
from tests.strict_ehr import StrictEhr

Json = dict[str, Any]
EVENTS = Path(__file__).parents[1] / "events"


def golden(name: str) -> Json:
    loaded: Json = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize(
    ("name", "routes"), [("smart_app_launch", SMART_ROUTES), ("cds_hooks_patient_view", CDS_ROUTES)]
)
def test_a_golden_event_is_one_of_the_api(name: str, routes: tuple[str, ...]) -> None:
    event = golden(name)
    assert event["routeKey"] in routes
    assert event["requestContext"]["routeKey"] == event["routeKey"]
    filled = event["routeKey"].partition(" ")[2].format_map(event["pathParameters"])
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == filled


def test_a_launch_goes_to_the_authorization_server() -> None:
    hospital = smart.Hospital()
    answer = hospital.frontend(golden("smart_app_launch"), smart.lambda_context())
    assert answer["statusCode"] == 303
    asked = parse_qs(urlsplit(answer["headers"]["Location"]).query)
    assert (asked["aud"], asked["launch"]) == ([BASE], ["golden-launch"])
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [hospital.redirect_uri]
    (cookie,) = answer["cookies"]
    assert cookie.startswith("__Host-")


def test_a_hook_is_answered_with_a_card_that_was_worked_out_from_what_came_along() -> None:
    event, path = golden("cds_hooks_patient_view"), f"/cds-services/{cds.PATIENT_VIEW}"
    hospital = cds.Hospital(StrictEhr(*admission()), cds.tenant())
    event["headers"]["authorization"] = f"Bearer {cds.token(cds.claims(path))}"
    answer = hospital.api(event, None)  # type: ignore[arg-type]
    assert answer["statusCode"] == 200
    (card,) = json.loads(answer["body"])["cards"]
    assert "Worked out just now" in card["detail"]
    assert hospital.ehr.requests == []


def test_a_hook_with_a_token_that_is_none_is_refused() -> None:
    hospital = cds.Hospital(StrictEhr(*admission()), cds.tenant())
    answer = hospital.api(golden("cds_hooks_patient_view"), None)  # type: ignore[arg-type]
    assert answer["statusCode"] == 401
    assert cds.issue(answer)["code"] == "login"
