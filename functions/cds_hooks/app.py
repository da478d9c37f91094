"""Lambda handler: CDS Hooks calls over the HTTP API, answered with cards.

It computes with the packages of the survival function, which travel with it. All are opened at import, and what checks
signatures is loaded, so that a cold start does the work before the first call and its deadline.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import joserfc.jwk
import joserfc.jwt  # noqa: F401 - as above
from aws_lambda_powertools.utilities.typing import LambdaContext

from fhir_adapter.cds_hooks import Caller, FetchedKeys
from functions.cds_hooks.api import CdsHooksApi
from functions.cds_hooks.connect import Connections
from functions.cds_hooks.stores import TableFeedback, TableReplays
from functions.serving.cloud import setting
from functions.serving.signing import demanded
from functions.serving.tenants import SecretTenants
from functions.survival.predict import load_models

PACKAGES = Path(__file__).parents[1] / "survival" / "packages"

_MODELS = load_models(PACKAGES, demanded())
_api: CdsHooksApi | None = None


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP API request (payload format 2.0)."""
    global _api  # noqa: PLW0603 - made once, when the environment is there
    if _api is None:
        table = setting("CDS_HOOKS_TABLE")
        _api = CdsHooksApi(
            _MODELS,
            SecretTenants(setting("TENANT_SECRET_PREFIX")),
            Caller(FetchedKeys(), TableReplays(table), time.time),
            TableFeedback(table),
            Connections(),
        )
    return _api(event, context)
