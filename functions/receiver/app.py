"""Lambda handler: FHIR notifications over the HTTP API; authenticated, checked, queued, answered 202."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.receiver.api import Receiver
from functions.serving.cloud import setting
from functions.serving.marks import TableMarks
from functions.serving.routes import routed_queue
from functions.serving.tenants import SecretTenants

_receiver: Receiver | None = None


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP API request (payload format 2.0)."""
    global _receiver  # noqa: PLW0603 - made once, when the environment is there
    if _receiver is None:
        table = os.environ.get("LEDGER_TABLE")
        _receiver = Receiver(
            SecretTenants(setting("TENANT_SECRET_PREFIX")),
            routed_queue(),
            TableMarks(table) if table else None,
        )
    return _receiver(event, context)
