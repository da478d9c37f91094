"""The `bedside` command: one module a subcommand, imported only when it is asked for.

Each module has ``configure(parser)`` and ``run(args) -> int`` (the exit status).
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Protocol, cast

COMMANDS = {
    "demo": ("infra.cli.demo", "start the twin, admit a synthetic cohort, show each patient's risk"),
    "local": ("infra.cli.local", "start the local twin of a hospital and keep it up"),
    "redrive": ("infra.cli.redrive", "send dead letters again, or list them with their causes"),
    "keys": ("infra.cli.keys", "make, list and rotate the keys that sign Bedside in at EHRs"),
    "subscribe": ("infra.cli.subscribe", "have an EHR notify Bedside"),
    "subscriptions": ("infra.cli.subscriptions", "show, repair or end an EHR's subscriptions"),
    "reconcile": ("infra.cli.reconcile", "find and answer what an EHR's notifications missed"),
    "replay": ("infra.cli.replay", "reproduce a result from the versioned inputs its Provenance names"),
    "export": ("infra.cli.export", "fetch a bulk data export as NDJSON"),
    "features": ("infra.cli.features", "read a model's inputs from a Bundle or an NDJSON export"),
    "data": ("infra.cli.data", "show the public data sets that models are trained on"),
    "train": ("infra.cli.train", "train a model package from its public data"),
    "evaluate": ("infra.cli.evaluate", "evaluate a model package on held-out data and write its report"),
    "export-survival": ("infra.cli.export_survival", "turn a fitted scikit-survival model into one ONNX file"),
    "benchmark-survival": ("infra.cli.benchmark_survival", "rerun every survival model beside published results"),
    "plan": ("infra.cli.plan", "plan admissions, rooms, theatres and nurses over the next weeks"),
    "benchmark-plan": (
        "infra.cli.benchmark_plan",
        "plan the public instances of IHTC-2024 beside the best known costs",
    ),
    "package": ("infra.cli.package", "make, check, sign and add a model package of one's own"),
    "allocation": ("infra.cli.allocation", "plan a house's beds, say why, and try what if"),
    "bench": ("infra.cli.bench", "measure ratios against peers and floors"),
}


class Command(Protocol):
    """What a subcommand's module offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommand's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0 when it did what was asked, 1 when it could not, 2 when the arguments were wrong.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="bedside",
        description="Diagnosis, survival and allocation models at the bedside, over FHIR.",
        epilog="`bedside COMMAND --help` explains one command.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if words and words[0] == name:
            cast(Command, importlib.import_module(module)).configure(subparser)
    args = parser.parse_args(words)
    command = cast(Command, importlib.import_module(COMMANDS[args.command][0]))
    try:
        return command.run(args)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
