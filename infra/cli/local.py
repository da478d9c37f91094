"""``bedside local``: the twin of a hospital, empty, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import httpx

from infra.local.ehr import SekmetEhr
from infra.local.staying import stay, terminable
from infra.local.subscriptions import ADMISSIONS, FEEDS
from infra.local.twin import Twin, TwinError

DESCRIPTION = """\
Start a FHIR R4 server, an image archive, the notification endpoint, an AWS stand-in with the queues and tables, the
functions and the page, all on 127.0.0.1, with no patients in it. PUT an Encounter of class IMP into the EHR and it is
answered; so is one of class AMB and type 281036007 (SNOMED CT: follow-up consultation), an ImagingStudy of modality
ECG or CR whose images are in the archive, and a final DiagnosticReport of code 90224-7 (LOINC: thyroid panel with TSH).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside local``."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=None, metavar="P", help="port of the EHR (a free one)")
    parser.add_argument(
        "--data", type=Path, default=Path("build/local"), metavar="DIR", help="where the record is kept (%(default)s)"
    )
    parser.add_argument(
        "--lambda-emulator", action="store_true", help="run the functions in AWS's runtime emulator, not in process"
    )
    parser.add_argument(
        "--backport", action="store_true", help="subscribe by topic (Subscriptions R5 Backport, id-only payload)"
    )
    parser.add_argument("--json", action="store_true", help="print the addresses as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the twin until Ctrl-C; returns the exit status."""
    try:
        with terminable(), Twin(args.data, ehr_port=args.port, lambda_emulator=args.lambda_emulator) as twin:
            twin.register_subscription(ADMISSIONS, backport="id-only" if args.backport else None)
            for feed in FEEDS:
                if feed is not ADMISSIONS:
                    twin.register_subscription(feed)
            environments = {"Parameters": twin.environment, "DiagnosisFunction": twin.aws.environment("diagnosis")}
            _environment_file(twin).write_text(json.dumps(environments, indent=1), encoding="utf-8")
            sys.stdout.write(json.dumps(_addresses(twin)) + "\n" if args.json else _told(twin))
            sys.stdout.flush()
            stay()
    except (TwinError, OSError, httpx.HTTPError) as error:
        sys.stderr.write(f"The twin could not run: {error}\n")
        return 1
    return 0


def _environment_file(twin: Twin) -> Path:
    """Return where ``sam local invoke --env-vars`` finds the functions' environment."""
    return twin.data_dir / "env.json"


def _addresses(twin: Twin) -> dict[str, object]:
    token = str(twin.ehr.token_file) if isinstance(twin.ehr, SekmetEhr) else ""
    return {
        "ehr": twin.ehr.base_url,
        "token_file": token,
        "archive": twin.pacs.root,
        "notify": twin.endpoint,
        "page": twin.page_url,
        "front": twin.front_url,
        "aws": twin.aws.endpoint,
        "functions_log": str(twin.data_dir / "functions.log"),
        "environment_file": str(_environment_file(twin)),
        "environment": twin.environment,
    }


def _told(twin: Twin) -> str:
    addresses = _addresses(twin)
    environment = twin.environment
    lines = [
        f"EHR (FHIR R4)        {addresses['ehr']}",
        f"  bearer token in    {addresses['token_file']}",
        f"DICOMweb, same token {addresses['archive']}  ({twin.pacs.name})",
        f"Notifications go to  {addresses['notify']}",
        f"Page                 {addresses['page']}",
        f"EHR, for a browser   {addresses['front']}",
        f"AWS stand-in         {addresses['aws']}",
        f"Functions' log       {addresses['functions_log']}",
        f"For sam local        {addresses['environment_file']}",
        "",
        "Environment of the functions (for the AWS CLI, bedside redrive and the like):",
        *(f"  export {name}={value}" for name, value in sorted(environment.items())),
        "",
        "Try it:",
        f'  curl -H "Authorization: Bearer $(cat {addresses["token_file"]})" "{addresses["ehr"]}/Subscription"',
        "",
        "Ctrl-C ends everything; the record stays.",
    ]
    return "\n".join(lines) + "\n"
