"""Lambda handler, on a schedule: reconciles every tenant named in ``TENANTS`` (a comma list).

One tenant that cannot be reached does not keep the others waiting; it fails the invocation in the end, by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from fhir_adapter.client import FhirClient
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants import Tenant, TenantStore
from functions.reconcile.reconcile import Reconciler, Report
from functions.serving.cloud import TableLedger, setting
from functions.serving.connect import open_client
from functions.serving.marks import TableMarks
from functions.serving.routes import routed_queue
from functions.serving.tenants import SecretTenants

__all__ = ["ReconcileFailed", "handler", "reconcile_all", "reconcile_tenant"]

COUNTED = ("missing", "fetched", "swept", "unanswered", "doubled", "withdrawn")
logger = Logger()


class ReconcileFailed(Exception):
    """Some tenants could not be reconciled; names them."""


def reconcile_tenant(
    tenant: Tenant,
    since: datetime | None = None,
    connect: Callable[[Tenant], FhirClient] = open_client,
    now: datetime | None = None,
) -> list[Report]:
    """Reconcile one tenant with the queue and tables that the environment names."""
    table = setting("LEDGER_TABLE")
    queue = routed_queue()
    with connect(tenant) as client:
        reconciler = Reconciler(
            tenant=tenant,
            client=client,
            queue=queue,
            ledger=TableLedger(table),
            marks=TableMarks(table),
            now=now or datetime.now(UTC),
            endpoint=os.environ.get("NOTIFICATION_URL") or None,
        )
        return reconciler.run(since)


def reconcile_all(
    names: list[str], tenants: TenantStore, connect: Callable[[Tenant], FhirClient] = open_client
) -> list[Report]:
    """Reconcile tenants one after the other.

    Raises
    ------
    ReconcileFailed
        After all of them were tried.
    """
    reports: list[Report] = []
    failed = []
    metrics = Metrics()
    for name in names:
        try:
            tenant = tenants.get(name)
            if tenant is None:
                raise ConfigurationError(f"there is no tenant {name!r}")
            found = reconcile_tenant(tenant, connect=connect)
        except Exception as error:  # noqa: BLE001 - the handler's edge: the other tenants have their turn
            logger.error("tenant not reconciled", tenant=name, cause=type(error).__name__)
            metrics.add_metric("ReconcileFailed", MetricUnit.Count, 1)
            failed.append(f"{name} ({type(error).__name__})")
            continue
        for report in found:
            _tell(report, metrics)
        reports += found
    if reports or failed:
        metrics.flush_metrics()
    if failed:
        raise ReconcileFailed(f"not reconciled: {', '.join(failed)}")
    return reports


def _tell(report: Report, metrics: Metrics) -> None:
    logger.info("reconciled", **asdict(report))
    metrics.add_metric("Reconciled", MetricUnit.Count, 1)
    for name in COUNTED:
        metrics.add_metric(name.capitalize(), MetricUnit.Count, getattr(report, name))
    metrics.add_metric("SubscriptionsSilent", MetricUnit.Count, int(report.silent))
    broken = report.status in ("error", "off", "missing")
    metrics.add_metric("SubscriptionsBroken", MetricUnit.Count, int(broken))


def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Reconcile every tenant of the environment variable ``TENANTS``."""
    names = [name.strip() for name in setting("TENANTS").split(",") if name.strip()]
    reports = reconcile_all(names, SecretTenants(setting("TENANT_SECRET_PREFIX")))
    return {"reports": [asdict(report) for report in reports]}
