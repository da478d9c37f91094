"""``bedside export``: a server's record as NDJSON files, by FHIR Bulk Data Access."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.bulk import BulkExport, ExportRequest, ExportResult
from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import FhirAdapterError
from fhir_adapter.keys import FileKeys
from fhir_adapter.tenants import Tenant
from functions.serving.tenants import SecretKeys
from infra.cli.tenancy import add_tenants_option, registry, tenant_at, tenant_named

DESCRIPTION = """\
Ask a FHIR server for an export, wait until it is ready, and bring its files into a directory that only you can read.
Each file is checked: NDJSON line by line, type and count as the server promised.
"""
EPILOG = """\
examples:
  bedside export general --tenants tenants.json --to build/export --type Patient Encounter Observation Condition
  bedside export --base http://127.0.0.1:8000/fhir --token-file build/local/ehr/token --to build/export
  bedside export general --tenants tenants.json --to build/export --resume

After Ctrl-C, a lost connection or the deadline, --resume goes on where it stopped: the server is not asked for
another export, and files that are here are not fetched again. `bedside features` reads the directory.

exit status: 0 exported, 1 not or not whole (the server reports errors), 2 wrong arguments.
"""
# Files are long, and so are the pauses of a server that writes them.
PATIENT = RetryPolicy(attempts=6, deadline=120.0, cap=20.0, timeout=60.0)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside export``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tenant", nargs="?", metavar="TENANT", help="whose EHR")
    add_tenants_option(parser)
    parser.add_argument("--base", metavar="URL", help="FHIR base URL, instead of TENANT")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="with --base: holds the bearer token")
    parser.add_argument("--keys", type=Path, metavar="DIR", help="private keys in files (default: Secrets Manager)")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="where to; an empty or new directory")
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--group", metavar="ID", help="only the patients of a Group")
    level.add_argument("--system", action="store_true", help="everything, not only what belongs to patients")
    parser.add_argument("--type", nargs="+", default=[], metavar="TYPE", help="only these resource types")
    parser.add_argument("--since", metavar="INSTANT", help="only what changed since, such as 2026-01-31T00:00:00Z")
    parser.add_argument("--deadline", type=float, default=4.0, metavar="HOURS", help="wait so long (%(default)s)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with the export in DIR")
    again.add_argument("--cancel", action="store_true", help="tell the server to forget the export in DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export; progress goes to standard error.

    Returns
    -------
    int
        The exit status.
    """
    if bool(args.base) == bool(args.tenant):
        return _wrong("needs either TENANT or --base URL")
    if (args.tenants and args.base) or (args.token_file and not args.base):
        return _wrong("--tenants goes with TENANT, and --token-file with --base")
    try:
        tenant = _tenant(args)
        keys = FileKeys(args.keys) if args.keys else SecretKeys()
        with FhirClient.for_tenant(tenant, keys, retry=PATIENT) as client:
            export = BulkExport(client, args.to, origins=tenant.origins, deadline=args.deadline * 3600.0, progress=_say)
            if args.cancel:
                export.cancel()
                return 0
            result = export.resume() if args.resume else export.run(_request(args))
    except (FhirAdapterError, BotoCoreError, ClientError, OSError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say(f"interrupted; `--resume --to {args.to}` goes on, `--cancel` gives it up")
        return 130
    sys.stdout.write(json.dumps(_report(result)) + "\n" if args.json else _told(result))
    return 0 if result.complete else 1


def _wrong(what: str) -> int:
    _say(what)
    return 2


def _say(what: str) -> None:
    sys.stderr.write(f"bedside export: {what}\n")


def _request(args: argparse.Namespace) -> ExportRequest:
    types = tuple(name for item in args.type for name in item.split(",") if name)
    if args.group:
        return ExportRequest("group", args.group, types, args.since)
    return ExportRequest("system" if args.system else "patient", None, types, args.since)


def _tenant(args: argparse.Namespace) -> Tenant:
    if args.tenant:
        return tenant_named(registry(args.tenants), args.tenant)
    return tenant_at(args.base, args.token_file, "export")


def _report(result: ExportResult) -> dict[str, object]:
    return {
        "folder": str(result.folder),
        "transaction_time": result.transaction_time,
        "counts": result.counts,
        "complete": result.complete,
        "issues": [
            {"severity": severity, "code": code, "count": count} for (severity, code), count in result.issues.items()
        ],
    }


def _told(result: ExportResult) -> str:
    lines = [f"{count:>9} {kind}" for kind, count in sorted(result.counts.items())]
    lines += [f"{count:>9} {severity}: {code}" for (severity, code), count in sorted(result.issues.items())]
    lines.append(f"in {result.folder}, as of {result.transaction_time}")
    return "\n".join(lines) + "\n"
