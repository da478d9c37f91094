"""Where the resources of a house come from: a tenant's FHIR server, a base, or files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.features.record import moment
from functions.allocation.fromfhir import HouseRules, Reading, read_house
from functions.allocation.reading import fetched
from functions.serving.connect import open_client
from infra.cli.tenancy import add_tenants_option, registry, tenant_at, tenant_named

__all__ = ["Unreadable", "add_source", "reading"]


class Unreadable(Exception):
    """A file is not what it should be."""


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the resources are."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--from", dest="source", type=Path, metavar="FILE|DIR", help="a Bundle, a resource, NDJSON, or a folder of them"
    )
    where.add_argument("--base", metavar="URL", help="a FHIR server")
    where.add_argument("--tenant", metavar="NAME", help="a tenant's FHIR server")
    add_tenants_option(parser)
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the bearer token for --base")
    parser.add_argument("--rules", type=Path, metavar="FILE", help="the hospital's own codes and habits, as JSON")
    parser.add_argument("--now", metavar="TIME", help="plan as of this time (default: now)")


def reading(args: argparse.Namespace) -> Reading:
    """Read the house that the arguments name.

    Raises
    ------
    Unreadable, FhirAdapterError, OSError
    """
    rules = HouseRules.from_dict(_json(args.rules)) if args.rules else HouseRules()
    now = moment(args.now) if args.now else datetime.now(UTC)
    if now is None:
        raise Unreadable(f"--now {args.now}: not a time as FHIR writes it")
    if args.source is not None:
        return read_house(list(_resources(args.source)), now, rules)
    if args.base:
        with FhirClient.for_tenant(tenant_at(args.base, args.token_file, "allocation")) as client:
            return fetched(client, now, rules)
    with open_client(tenant_named(registry(args.tenants), args.tenant)) as client:
        return fetched(client, now, rules)


def _json(path: Path) -> Json:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise Unreadable(f"{path}: line {error.lineno}, column {error.colno}: not JSON ({error.msg})") from None
    if not isinstance(found, dict):
        raise Unreadable(f"{path}: not a JSON object")
    return found


def _resources(path: Path) -> Iterator[Json]:
    if not path.is_dir():
        yield from _file(path)
        return
    files = [file for file in sorted(path.iterdir()) if file.suffix in (".json", ".ndjson")]
    if not files:
        raise Unreadable(f"{path}: neither *.json nor *.ndjson in it")
    for file in files:
        yield from _file(file)


def _file(path: Path) -> Iterator[Json]:
    if path.suffix == ".ndjson":
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if line.strip():
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    raise Unreadable(f"{path}: line {number}: not JSON") from None
        return
    yield from _inside(_json(path))


def _inside(found: Any) -> Iterator[Json]:
    """The resources of a Bundle, of Bundles in it, or the resource itself."""
    if found.get("resourceType") != "Bundle":
        yield found
        return
    for entry in found.get("entry") or []:
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield from _inside(entry["resource"])
