"""``bedside keys``: the keys that sign Bedside in at EHRs (SMART Backend Services), and their rotation."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import algorithm_of, keys_of, new_key, parse_keys, public_set, read_key_file
from fhir_adapter.tenants.auth import ALGORITHMS
from functions.serving.tenants import KEY_PREFIX

DESCRIPTION = """\
An EHR with SMART Backend Services knows Bedside by its public key. The private key stays in a file that only its owner
can read (mode 0600), or in AWS Secrets Manager; a tenant's description names it under auth.key. Only public keys are
ever printed: register them at the EHR, or give it the address of /.well-known/jwks.json.
"""
EPILOG = """\
bedside keys new --file keys/ehr.json                 make an ES384 key; prints the public JWK Set
bedside keys new --alg RS384 --secret bedside/keys/ehr --jwks-parameter /bedside/jwks
bedside keys list --file keys/ehr.json                what is there, and which key signs
bedside keys rotate --file keys/ehr.json --stage      publish a new key; the old one signs until EHRs have seen it
bedside keys rotate --file keys/ehr.json --promote KID    now KID signs; the old key stays published
bedside keys rotate --file keys/ehr.json              both at once, where the EHR fetches keys when it needs them
bedside keys rotate --file keys/ehr.json --retire KID     the overlap is over: forget KID
"""

Jwk = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside keys``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="new|list|rotate", required=True)
    for name, summary in (
        ("new", "make the first key"),
        ("list", "show the public keys, and which one signs"),
        ("rotate", "make the next key, let one sign, or forget one"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        place = action.add_mutually_exclusive_group(required=True)
        place.add_argument("--file", type=Path, metavar="PATH", help="a file of mode 0600")
        place.add_argument("--secret", metavar="NAME", help=f"a secret in Secrets Manager ({KEY_PREFIX}NAME)")
        action.add_argument("--json", action="store_true", help="print one JSON object")
        if name == "new":
            action.add_argument("--alg", choices=ALGORITHMS, default="ES384", help="ES384 (default) or RS384")
        if name == "rotate":
            step = action.add_mutually_exclusive_group()
            step.add_argument("--stage", action="store_true", help="publish the new key, do not sign with it yet")
            step.add_argument("--promote", metavar="KID", help="make no key; from now on KID signs")
            step.add_argument("--retire", metavar="KID", help="make no key; forget KID")
        if name != "list":
            action.add_argument(
                "--jwks-parameter",
                metavar="NAME",
                help="Parameter Store parameter with what /.well-known/jwks.json shows; this key's part is replaced",
            )


def run(args: argparse.Namespace) -> int:
    """Do it; returns the exit status."""
    place: _Place = _File(args.file) if args.file else _Secret(args.secret)
    try:
        before = place.read()
        after = before if args.action == "list" else _changed(args, before, str(place))
        if args.action != "list":
            place.write({"keys": after})
            if args.jwks_parameter:
                _publish(args.jwks_parameter, before, after)
        elif not before:
            raise ConfigurationError(f"{place} does not exist")
    except (ConfigurationError, OSError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"bedside keys: {error}\n")
        return 1
    sys.stdout.write(json.dumps(_report(str(place), after)) + "\n" if args.json else _told(str(place), after))
    return 0


def _changed(args: argparse.Namespace, before: list[Jwk], where: str) -> list[Jwk]:
    """Return the keys after a step; the first of an algorithm signs."""
    if args.action == "new":
        if before:
            raise ConfigurationError(f"{where} holds keys already; `bedside keys rotate` adds one")
        return [new_key(args.alg)]
    if not before:
        raise ConfigurationError(f"{where} does not exist; `bedside keys new` makes the first key")
    if args.promote:
        return [_named(before, args.promote, where), *(key for key in before if key.get("kid") != args.promote)]
    if args.retire:
        _named(before, args.retire, where)
        if len(before) == 1:
            raise ConfigurationError(f"{where}: the last key cannot be retired")
        return [key for key in before if key.get("kid") != args.retire]
    alg = algorithm_of(before[0])
    if alg is None:
        raise ConfigurationError(f"{where}: the first key is of neither ES384 nor RS384")
    return [*before, new_key(alg)] if args.stage else [new_key(alg), *before]


def _named(keys: list[Jwk], kid: str, where: str) -> Jwk:
    for key in keys:
        if key.get("kid") == kid:
            return key
    raise ConfigurationError(f"{where} holds no key {kid!r}")


class _Place(Protocol):
    """Where private keys are kept."""

    def read(self) -> list[Jwk]:
        """Return the keys, none when nothing is there yet."""

    def write(self, stored: Jwk) -> None:
        """Keep them instead of what was there."""


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return f"key file {self._path}"

    def read(self) -> list[Jwk]:
        return keys_of(read_key_file(self._path)) if self._path.exists() else []

    def write(self, stored: Jwk) -> None:
        """Write beside it and rename, so that neither a reader nor a crash meets half a file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
                json.dump(stored, file)
            beside.replace(self._path)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()


class _Secret:
    def __init__(self, name: str) -> None:
        self._name = name if name.startswith(KEY_PREFIX) else KEY_PREFIX + name
        self._client = boto3.client("secretsmanager")
        self._exists = False

    def __str__(self) -> str:
        return f"secret {self._name}"

    def read(self) -> list[Jwk]:
        try:
            content = self._client.get_secret_value(SecretId=self._name)["SecretString"]
        except self._client.exceptions.ResourceNotFoundException:
            return []
        self._exists = True
        return keys_of(parse_keys(content, str(self)))

    def write(self, stored: Jwk) -> None:
        if self._exists:
            self._client.put_secret_value(SecretId=self._name, SecretString=json.dumps(stored))
        else:
            self._client.create_secret(Name=self._name, SecretString=json.dumps(stored))


def _publish(parameter: str, before: list[Jwk], after: list[Jwk]) -> None:
    """Replace this place's keys in the published set; those of other places stay."""
    ssm: Any = boto3.client("ssm")
    try:
        content = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
        shown = keys_of(parse_keys(content, f"parameter {parameter}"))
    except ssm.exceptions.ParameterNotFound:
        shown = []
    ours = {key.get("kid") for key in (*before, *after)}
    document = public_set([*(key for key in shown if key.get("kid") not in ours), *after])
    ssm.put_parameter(Name=parameter, Value=json.dumps(document), Type="String", Overwrite=True)


def _signing(keys: list[Jwk]) -> dict[str, str]:
    """Return which key signs, by algorithm."""
    signing: dict[str, str] = {}
    for key in keys:
        signing.setdefault(str(algorithm_of(key)), str(key.get("kid")))
    return signing


def _report(where: str, keys: list[Jwk]) -> dict[str, Any]:
    return {"place": where, "signing": _signing(keys), "jwks": public_set(keys)}


def _told(where: str, keys: list[Jwk]) -> str:
    signing = _signing(keys).values()
    lines = [f"{where}:"]
    lines += [
        f"  {key['alg']}  {key['kid']}  {'signs' if key['kid'] in signing else 'published only'}"
        for key in public_set(keys)["keys"]
    ]
    lines += [
        "",
        "The public keys, to be registered at the EHR (those that sign packages: `bedside package trust`):",
        json.dumps(public_set(keys), indent=2),
    ]
    return "\n".join(lines) + "\n"
