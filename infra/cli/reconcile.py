"""``bedside reconcile``: find what notifications did not tell."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.errors import FhirAdapterError
from functions.reconcile.app import reconcile_tenant
from functions.reconcile.reconcile import Report
from functions.serving.cloud import QueueError
from infra.cli.tenancy import add_tenants_option, registry, tenant_named

DESCRIPTION = """\
Does at once what the scheduled function does: asks how the tenant's subscriptions fare, fetches events that were
lost, sweeps what changed, holds our results against the record, and asks a subscription in error for activation.
Safe to repeat.
"""
EPILOG = """\
Needs EVENT_QUEUE_URL and LEDGER_TABLE; credentials, region and AWS_ENDPOINT_URL as for every AWS tool. `bedside
local` prints them for the twin. NOTIFICATION_URL, when given, is the endpoint that a repaired subscription gets.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside reconcile``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tenant", metavar="TENANT")
    parser.add_argument(
        "--since", type=_instant, default=None, metavar="ISO", help="look back to here, such as 2026-01-31T08:00Z"
    )
    add_tenants_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date or time in ISO 8601") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def run(args: argparse.Namespace) -> int:
    """Reconcile; returns the exit status."""
    try:
        reports = reconcile_tenant(tenant_named(registry(args.tenants), args.tenant), args.since)
    except (FhirAdapterError, QueueError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"bedside reconcile: {error}\n")
        return 1
    if args.json:
        sys.stdout.write(json.dumps({"reports": [asdict(report) for report in reports]}) + "\n")
    else:
        sys.stdout.write("".join(_told(report) for report in reports))
    return 0


def _told(report: Report) -> str:
    found = {
        "numbers missing": report.missing,
        "fetched": report.fetched,
        "swept": report.swept,
        "unanswered": report.unanswered,
        "doubled": report.doubled,
        "withdrawn": report.withdrawn,
    }
    notes = [f"{count} {name}" for name, count in found.items() if count] or ["nothing missed"]
    notes += [
        note for note, so in (("silent", report.silent), ("repaired", report.repaired), ("cut short", report.cut)) if so
    ]
    return f"{report.subscription}: {report.status}; {', '.join(notes)}\n"
