"""The pinned lists against pyproject.toml: complete, hashed, and growing from one to the next."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.packaging.artefact import REPOSITORY

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
ASKED = {
    "demo": [*PROJECT["dependencies"], *EXTRAS["demo"]],
    "test": [*PROJECT["dependencies"], *EXTRAS["demo"], *EXTRAS["diagnosis"], *EXTRAS["test"]],
    "train": [
        *(*PROJECT["dependencies"], *EXTRAS["demo"], *EXTRAS["diagnosis"]),
        *(*EXTRAS["test"], *EXTRAS["train"]),
    ],
    "lambda-receiver": EXTRAS["receiver"],
    "lambda-reconcile": EXTRAS["reconcile"],
    "lambda-survival": PROJECT["dependencies"],
    "lambda-diagnosis": [*PROJECT["dependencies"], *EXTRAS["diagnosis"]],
}


def text_of(name: str) -> str:
    return (REPOSITORY / "requirements" / f"{name}.txt").read_text()


def pins(name: str) -> dict[str, str]:
    lines = [line for line in text_of(name).replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    found = {}
    for line in lines:
        assert "--hash=sha256:" in line, line
        requirement = Requirement(line.partition(" --hash")[0])
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize("name", ASKED)
def test_every_dependency_is_pinned_within_what_was_asked(name: str) -> None:
    pinned = pins(name)
    assert "bedside" not in pinned
    for line in ASKED[name]:
        requirement = Requirement(line)
        if requirement.name != "bedside":
            version = pinned.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not in {name}.txt: make lock"
            assert version in requirement.specifier, f"{requirement.name} {version}: make lock"


@pytest.mark.parametrize("name", ASKED)
def test_lists_share_their_pins_and_name_no_host_or_path(name: str) -> None:
    assert pins(name).items() <= pins("train").items()
    assert not re.search(r"://|^\s*/|index-url|find-links", text_of(name), re.MULTILINE)


def test_functions_carry_nothing_for_training() -> None:
    for name in ("lambda-receiver", "lambda-reconcile", "lambda-survival"):
        assert not {"scikit-learn", "scikit-survival", "scipy", "pandas", "torch"} & set(pins(name))
    assert "torch" not in pins("train")
