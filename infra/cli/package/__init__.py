"""``bedside package``: bring a model of one's own, from an empty folder to a signed package that is served.

:mod:`~infra.cli.package.skeleton` writes the first contract, :mod:`~infra.cli.package.check` runs every rule,
:mod:`~infra.cli.package.examples` asks the model about example patients, :mod:`~infra.cli.package.place` puts a
package where the functions serve it, :mod:`~infra.cli.package.trust` says whose packages those are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from fhir_adapter.errors import FhirAdapterError
from fhir_adapter.keys import read_key_file, signing_key
from functions.serving.errors import ModelRefused
from functions.serving.signing import ALGORITHM, PUBLISHERS, Publishers, sign_package
from infra.cli.package.check import check
from infra.cli.package.place import add
from infra.cli.package.report import Report, Step, told
from infra.cli.package.skeleton import KINDS, create
from infra.cli.package.trust import trust

DESCRIPTION = """\
A model is a folder: model.yaml (the contract: what the model takes, for whom, and what it says), model.onnx, card.md
and report.html. The functions serve every such folder; no code changes. This command makes one, checks it as the
functions will, signs it, and puts it in its place.
"""
EPILOG = """\
examples:
  bedside package new sepsis --kind survival --from model.onnx   a folder sepsis/ with a contract to fill in
  bedside package check sepsis                                   every rule, and why it would be refused
  bedside package check sepsis --example bundles/                and what it would say about example patients
  bedside keys new --file keys/publisher.json                    a key to sign with; prints its public half
  bedside package sign sepsis --key keys/publisher.json          writes sepsis/model.jws
  bedside package trust keys/publisher.json                      serve what this key has signed
  bedside package add sepsis                                     into the functions' packages

Whoever deploys decides whose packages are served: the public keys (JWK Set) of trusted publishers are in
functions/serving/publishers.json, where `trust` puts them. Of another's key, the public half is enough:
`bedside keys list --file keys/publisher.json --json > public.json` prints it. A package that is altered after it was
signed is refused by the name of the file. With REQUIRE_SIGNED_PACKAGES=true (the template's parameter of that name) a
function starts with signed packages only.

How a classifier of TorchXRayVision or MONAI becomes a package: functions/diagnosis/packages/README.md.

exit status: 0 done, 1 refused or not possible, 2 wrong arguments.
"""
ACTIONS = {
    "new": "make a folder with a contract to fill in",
    "check": "run every rule, and say what would be refused and why",
    "sign": "sign a package as its publisher",
    "add": "check a package and put it where the functions serve it",
    "trust": "serve packages that a publisher's key has signed",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside package``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="|".join(ACTIONS), required=True)
    made = {name: actions.add_parser(name, help=summary, description=summary) for name, summary in ACTIONS.items()}
    _configure_new(made["new"])
    for name in ("check", "sign", "add"):
        made[name].add_argument("folder", type=Path, metavar="FOLDER", help="the package")
    made["check"].add_argument(
        "--example", type=Path, metavar="DIR", help="Bundles (*.json), NDJSON, rows (*.csv) or DICOM files to ask about"
    )
    made["sign"].add_argument("--key", type=Path, required=True, metavar="FILE", help="private JWK (Set), mode 0600")
    made["sign"].add_argument("--kid", help="which key of the file; the first of ES384 when not given")
    made["add"].add_argument("--to", type=Path, metavar="DIR", help="default: functions/KIND/packages")
    made["add"].add_argument(
        "--unsigned-ok", action="store_true", help="for use on this machine: take a package without a signature"
    )
    made["trust"].add_argument(
        "keys",
        type=Path,
        metavar="KEYS",
        help="the publisher's JWK Set; of private keys, the public half is taken",
    )
    for name in ("check", "sign", "add", "trust"):
        made[name].add_argument(
            "--trust", type=Path, default=PUBLISHERS, metavar="FILE", help="public keys of trusted publishers (JWK Set)"
        )
    for parsed in made.values():
        parsed.add_argument("--json", action="store_true", help="print one JSON object")


def _configure_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="lower-case letters, digits, hyphens and underscores")
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument(
        "--from", type=Path, dest="model", metavar="FILE", help="an ONNX file to copy and to take inputs from"
    )
    parser.add_argument("--findings", type=Path, metavar="FILE", help="YAML: the findings of a diagnosis model")
    parser.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="where the folder goes (default: here)")


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    actions: dict[str, Callable[[argparse.Namespace], Report]] = {
        "new": lambda words: create(words.to, words.name, words.kind, words.model, words.findings),
        "check": lambda words: check(words.folder, Publishers.from_file(words.trust), words.example),
        "sign": _sign,
        "add": lambda words: add(words.folder, words.to, Publishers.from_file(words.trust), words.unsigned_ok),
        "trust": lambda words: trust(words.keys, words.trust),
    }
    try:
        report = actions[args.action](args)
    except (ModelRefused, FhirAdapterError, OSError) as error:
        sys.stderr.write(f"bedside package {args.action}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report.as_json()) + "\n" if args.json else told(report))
    return 1 if report.refused else 0


def _sign(args: argparse.Namespace) -> Report:
    """Sign what passes every rule; a signature says that somebody stands for it."""
    key = signing_key(read_key_file(args.key), ALGORITHM, args.kid, str(args.key))
    publishers = Publishers.from_file(args.trust)
    report = check(args.folder, None, None)
    if report.refused:
        return report
    signed = sign_package(args.folder, key)
    report.steps.append(Step("signature", "passed", f"signed {len(signed.files)} files with key {signed.kid}"))
    if publishers.key(signed.kid) is None:
        detail = f"{args.trust} does not trust key {signed.kid} yet; `bedside package trust {args.key}` changes that"
        report.steps.append(Step("key", "warning", detail))
    return report
