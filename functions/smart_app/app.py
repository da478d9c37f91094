"""Lambda handler: the SMART app behind the HTTP API."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.serving.cloud import setting
from functions.serving.routes import routed_queue
from functions.serving.tenants import SecretKeys, SecretTenants
from functions.smart_app.api import SmartFrontend
from functions.smart_app.desk import Means
from functions.smart_app.ehr import Ehrs
from functions.smart_app.origin import own_origin
from functions.smart_app.sealing import Sealer, secret_keys
from functions.smart_app.sessions import Sessions
from functions.smart_app.store import TableSessions

_frontend: SmartFrontend | None = None


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP API request (payload format 2.0)."""
    global _frontend  # noqa: PLW0603 - made once, when the environment is there
    if _frontend is None:
        _frontend = SmartFrontend(
            SecretTenants(setting("TENANT_SECRET_PREFIX")),
            Sessions(TableSessions(setting("SESSION_TABLE")), Sealer(secret_keys(setting("SESSION_KEY_SECRET")))),
            Ehrs(SecretKeys()),
            own_origin(),
            Means(queue=routed_queue() if os.environ.get("EVENT_QUEUE_URL") else None),
        )
    return _frontend(event, context)
