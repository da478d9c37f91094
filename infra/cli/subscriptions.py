"""``bedside subscriptions``: how Subscriptions fare, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.errors import ConfigurationError, FhirAdapterError
from fhir_adapter.subscriptions import State, Subscriptions, subscription_id, wanted_of
from fhir_adapter.tenants import Tenant
from functions.serving.connect import open_client
from infra.cli.subscribe import described, told
from infra.cli.tenancy import add_tenants_option, registry, tenant_named

DESCRIPTION = """\
Shows the Subscriptions of one tenant, or of all. --repair asks those in error, or switched off, for activation again;
--delete takes one away (where the EHR refuses to delete, it is switched off). The exit status is 1 when one is
neither active nor just deleted.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside subscriptions``."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tenant", nargs="?", default=None, metavar="TENANT")
    add_tenants_option(parser)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--repair", action="store_true", help="ask for activation again")
    action.add_argument("--delete", default=None, metavar="NAME", help="delete this subscription of TENANT")
    parser.add_argument(
        "--endpoint",
        default=None,
        metavar="URL",
        help="endpoint of a repaired one (default: NOTIFICATION_URL, else as it is)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Show, repair or delete; returns the exit status."""
    if args.delete and not args.tenant:
        sys.stderr.write("bedside subscriptions: --delete needs a TENANT\n")
        return 2
    try:
        tenants = registry(args.tenants)
        names = [args.tenant] if args.tenant else list(tenants.names())
        found = {name: _look(tenant_named(tenants, name), args) for name in names}
    except (FhirAdapterError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"bedside subscriptions: {error}\n")
        return 1
    if args.json:
        answer = {name: [described(*item) for item in states] for name, states in found.items()}
        sys.stdout.write(json.dumps({"tenants": answer}) + "\n")
    else:
        sys.stdout.write("".join(f"{name}  {told(*item)}" for name, states in found.items() for item in states))
    states = [state for items in found.values() for _, state in items]
    return 0 if all(state.status in ("active", "deleted") for state in states) else 1


def _look(tenant: Tenant, args: argparse.Namespace) -> list[tuple[str, State]]:
    if args.delete and args.delete not in tenant.subscriptions:
        raise ConfigurationError(f"tenant {tenant.name!r} has no subscription {args.delete!r}")
    found = []
    endpoint = args.endpoint or os.environ.get("NOTIFICATION_URL")
    with open_client(tenant) as client:
        subscriptions = Subscriptions(client)
        for entry in tenant.subscriptions.values():
            reference = f"Subscription/{subscription_id(tenant, entry)}"
            if args.delete:
                if entry.name == args.delete:
                    gone = subscriptions.delete(reference)
                    state = State(reference, "deleted") if gone else replace(subscriptions.state(reference), error="")
                    found.append((entry.name, state))
                continue
            state = subscriptions.state(reference)
            if args.repair and state.status in ("error", "off"):
                wanted = wanted_of(tenant, entry, endpoint) if endpoint else None
                subscriptions.repair(reference, wanted)
                state = subscriptions.wait(reference)
            found.append((entry.name, state))
    return found
