"""``bedside subscribe``: make a tenant's Subscriptions at its EHR."""

from __future__ import annotations

import argparse
import json
import os
import sys

from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.errors import ConfigurationError, FhirAdapterError
from fhir_adapter.subscriptions import State, Subscriptions, wanted_of
from functions.serving.connect import open_client
from infra.cli.tenancy import add_tenants_option, registry, tenant_named

DESCRIPTION = """\
Makes every subscription of the tenant's description at the EHR: topic based (Subscriptions R5 Backport, or R5) where
the EHR offers the topic that the description names, R4 criteria elsewhere. Safe to repeat: the same Subscription is
brought up to date.
"""
EPILOG = "Write the reference it prints into the tenant's description: notifications must then name it."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside subscribe``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tenant", metavar="TENANT")
    add_tenants_option(parser)
    parser.add_argument(
        "--endpoint",
        default=None,
        metavar="URL",
        help="where notifications go, without /TENANT/SUBSCRIPTION (default: NOTIFICATION_URL)",
    )
    parser.add_argument("--dialect", choices=("auto", "criteria", "backport", "r5"), default="auto")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="how long to wait for active")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Subscribe; returns the exit status."""
    endpoint = str(args.endpoint or os.environ.get("NOTIFICATION_URL", ""))
    if not endpoint:
        sys.stderr.write("bedside subscribe: needs --endpoint (or NOTIFICATION_URL)\n")
        return 2
    try:
        states = _subscribe(args, endpoint)
    except (FhirAdapterError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"bedside subscribe: {error}\n")
        return 1
    if args.json:
        sys.stdout.write(json.dumps({"subscriptions": [described(name, state) for name, state in states]}) + "\n")
    else:
        sys.stdout.write("".join(told(name, state) for name, state in states))
    return 0 if all(state.status == "active" for _, state in states) else 1


def _subscribe(args: argparse.Namespace, endpoint: str) -> list[tuple[str, State]]:
    tenant = tenant_named(registry(args.tenants), args.tenant)
    if not tenant.subscriptions:
        raise ConfigurationError(f"tenant {tenant.name!r} describes no subscriptions")
    states = []
    with open_client(tenant) as client:
        subscriptions = Subscriptions(client)
        for entry in tenant.subscriptions.values():
            reference = subscriptions.create(wanted_of(tenant, entry, endpoint), args.dialect)
            states.append((entry.name, subscriptions.wait(reference, args.timeout)))
    return states


def described(name: str, state: State) -> dict[str, object]:
    """Return a state for programs."""
    return {
        "name": name,
        "reference": state.reference,
        "status": state.status,
        "dialect": state.dialect and str(state.dialect),
        "error": state.error or None,
        "events": state.events,
    }


def told(name: str, state: State) -> str:
    """Return a state for people."""
    how = f" ({state.dialect})" if state.dialect else ""
    why = f": {state.error}" if state.error else ""
    return f"{name}  {state.reference}  {state.status}{how}{why}\n"
