"""``bedside replay``: make a recorded prediction again from its Provenance, and compare bit by bit."""

from __future__ import annotations

import argparse
import json
import re
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_adapter.client import FhirClient
from fhir_adapter.errors import FhirAdapterError
from fhir_adapter.keys import FileKeys, KeyStore
from fhir_adapter.tenants import FileTenants, Tenant
from functions.serving.errors import ModelRefused
from functions.serving.package import ModelPackage, load_package, load_packages
from functions.serving.recorded import State
from functions.serving.replay import Model, Replay, Verdict, replay
from infra.cli.tenancy import tenant_at

if TYPE_CHECKING:
    from fhir_adapter.dicomweb import ImageStore

DESCRIPTION = """\
Read a Provenance and every input at the version it names, run the model of the recorded digest again, and compare
with the results in the EHR. Where the model looked at images, those of the recorded digests are fetched once more from
the tenant's image store. Nothing is written.
"""
EPILOG = """\
examples:
  bedside replay Provenance/5c0d... --tenant general --tenants tenants.json
  bedside replay Provenance/5c0d... --tenant twin --base http://127.0.0.1:8000/fhir --token-file build/local/ehr/token

exit status: 0 reproduced, 1 not reproduced or not to be had, 2 wrong arguments.
An abstention over something that was missing is not reproduced: absence is in no version.
With --base, the images are where --dicomweb says, or the study's Endpoint; local codes are those of the tenant's
description only, so results that were made with them need --tenants.
"""
SHOWN = 10
KINDS = ("diagnosis", "survival")
REFERENCE = re.compile(r"Provenance/[A-Za-z0-9\-.]{1,64}\Z")
FUNCTIONS = Path(__file__).parents[2] / "functions"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside replay``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("provenance", metavar="Provenance/ID", help="which prediction")
    parser.add_argument("--tenant", required=True, metavar="NAME", help="whose EHR")
    parser.add_argument("--tenants", type=Path, metavar="FILE", help="file or directory that describes the tenants")
    parser.add_argument("--base", metavar="URL", help="FHIR base URL, instead of --tenants")
    parser.add_argument("--keys", type=Path, metavar="DIR", help="private keys, for a tenant with backend-services")
    parser.add_argument("--dicomweb", metavar="URL", help="with --base: DICOMweb root of the image store")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="with --base: holds the bearer token")
    parser.add_argument(
        "--package",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a model package beside those that ship, such as an older version; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay; returns the exit status."""
    if not REFERENCE.match(args.provenance):
        return _wrong("the first argument must read Provenance/ID")
    if bool(args.tenants) == bool(args.base):
        return _wrong("needs either --tenants FILE or --base URL")
    if (args.token_file or args.dicomweb) and not args.base:
        return _wrong("--token-file and --dicomweb go with --base")
    try:
        tenant = _tenant(args)
        models = _models(args.package)
        keys = FileKeys(args.keys) if args.keys else None
        with ExitStack() as opened:
            client = opened.enter_context(FhirClient.for_tenant(tenant, keys))

            def connect(whose: Tenant, root: str) -> ImageStore:
                return opened.enter_context(closing(_store(whose, root, keys)))

            report = replay(args.provenance, client, models, tenant, connect)
    except (FhirAdapterError, ModelRefused, OSError) as error:
        sys.stderr.write(f"bedside replay: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report.to_json()) + "\n" if args.json else _told(report))
    return 0 if report.verdict == Verdict.REPRODUCED else 1


def _wrong(what: str) -> int:
    sys.stderr.write(f"bedside replay: {what}\n")
    return 2


def _tenant(args: argparse.Namespace) -> Tenant:
    if args.tenants:
        tenants = FileTenants(args.tenants)
        found = tenants.get(args.tenant)
        if found is None:
            raise FhirAdapterError(f"{args.tenants} describes no tenant {args.tenant!r}: {', '.join(tenants.names())}")
        return found
    return tenant_at(args.base, args.token_file, args.tenant, args.dicomweb)


def _models(more: list[Path]) -> dict[str, Model]:
    """Load every package by its digest; those with errors are named and refused."""
    shipped = [found for folder in sorted(FUNCTIONS.glob("*/packages")) for found in load_packages(folder).values()]
    packages = [*shipped, *(load_package(folder) for folder in more)]
    return {package.identity.digest: _opened(package) for package in packages if package.identity.kind in KINDS}


def _opened(package: ModelPackage) -> Model:
    if package.identity.kind == "diagnosis":
        from functions.diagnosis.predict import DiagnosisModel

        return DiagnosisModel(package).as_model()
    from functions.survival.predict import SurvivalModel

    return Model(package, SurvivalModel(package).predict)


def _store(tenant: Tenant, root: str, keys: KeyStore | None) -> ImageStore:
    from fhir_adapter.dicomweb import WebImageStore

    return WebImageStore.for_tenant(tenant, keys, root=root)


def _told(report: Replay) -> str:
    lines = [f"{report.provenance}: {report.verdict}. {report.detail}", f"model: {report.model or 'none'}"]
    lines += [f"result: {reference}" for reference in report.results[:SHOWN]]
    if len(report.results) > SHOWN:
        lines.append(f"and {len(report.results) - SHOWN} more results")
    lines.append(f"inputs: {len(report.inputs)}; values compared: {report.compared}")
    lines += [f"  {item.reference}: {item.state}" for item in report.inputs if item.state != State.CURRENT]
    lines += [f"  {difference}" for difference in report.differences]
    return "\n".join(lines) + "\n"
