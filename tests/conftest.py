"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_adapter.client.sending import Sender
from tests.validator.sent import SENT


@pytest.fixture
def sends_invalid_on_purpose() -> None:
    """Asked for by a test that has our client send what is not valid FHIR R4."""


@pytest.fixture(autouse=True)
def everything_we_send_is_valid(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which our client sends a server something that is not valid FHIR R4."""
    send = Sender.send

    def watched(self: Sender, method: str, url: str, body: Any = None, *rest: Any, **more: Any) -> Any:
        if isinstance(body, dict) and "resourceType" in body:
            SENT.check(body)
        return send(self, method, url, body, *rest, **more)

    monkeypatch.setattr(Sender, "send", watched)
    SENT.start("sends_invalid_on_purpose" not in request.fixturenames)
    yield
    assert SENT.wrong() == [], "sent, and not valid FHIR R4"
