"""``bedside allocation``: plan a house's beds, say why, and try what if."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from fhir_adapter.errors import FhirAdapterError
from functions.allocation.ward import SolverFailed
from infra.cli.allocation import answers
from infra.cli.allocation.source import Unreadable, add_source

DESCRIPTION = """\
Plan who lies where: from a FHIR server, or from resources in a file or folder. Nothing is written but files; the
function `allocation` proposes plans to an EHR.
"""
EPILOG = """\
examples:
  bedside allocation plan --from ward/ --svg ward.svg
  bedside allocation plan --tenants tenants.json --tenant general --ward Location/w1 --json
  bedside allocation explain --from ward.json --patient Patient/p7
  bedside allocation explain --from ward.json --patient p7 --room Location/r3
  bedside allocation whatif --from ward/ --close Location/r3 --surge 10

exit status: 0 planned, 1 could not be, 2 wrong arguments.
"""
Answer = Callable[[argparse.Namespace], int]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside allocation``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parts = parser.add_subparsers(dest="part", metavar="plan|explain|whatif", required=True)
    plan = parts.add_parser("plan", help="propose a room for everybody")
    plan.add_argument("--against", type=Path, metavar="FILE", help="an earlier plan (--json): tell what differs")
    plan.add_argument("--bundle", type=Path, metavar="FILE", help="write the transaction that would propose it")
    explain = parts.add_parser("explain", help="say what binds for a patient, and what another room would cost")
    explain.add_argument("--patient", required=True, metavar="REFERENCE", help="Patient/p7, p7, or Encounter/e7")
    explain.add_argument("--room", metavar="REFERENCE", help="what it would take to have this one")
    whatif = parts.add_parser("whatif", help="plan with beds closed or more patients, beside the plan as it is")
    whatif.add_argument("--close", action="append", default=[], metavar="ROOM[:BEDS]", help="close beds of a room")
    whatif.add_argument("--surge", type=int, default=0, metavar="N", help="so many more patients within a day")
    for part in (plan, explain, whatif):
        add_source(part)
        part.add_argument("--ward", metavar="REFERENCE", help="one ward only")
        part.add_argument("--time", type=float, default=20.0, metavar="SECONDS", help="of the solver (default 20)")
        part.add_argument("--gap", type=float, default=1e-4, metavar="G", help="good enough (default 0.0001)")
        part.add_argument("--threads", type=int, default=1, metavar="N")
        part.add_argument("--seed", type=int, help="for ties (default: follows from the records)")
        part.add_argument("--json", action="store_true", help="one JSON object")
        part.add_argument(
            "--svg", type=Path, metavar="FILE", help="the map of the wards; FILE-gantt.svg, FILE-before.svg beside it"
        )


def run(args: argparse.Namespace) -> int:
    """Answer; returns the exit status."""
    parts: dict[str, Answer] = {"plan": answers.plan, "explain": answers.explain, "whatif": answers.whatif}
    try:
        return parts[args.part](args)
    except (FhirAdapterError, SolverFailed, Unreadable, OSError) as error:
        sys.stderr.write(f"bedside allocation: {error}\n")
        return 1
