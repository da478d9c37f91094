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


def asked(*extras: str) -> list[str]:
    """What extras ask for, and those that they name."""
    found: list[str] = []
    for extra in extras:
        for line in EXTRAS[extra]:
            requirement = Requirement(line)
            if requirement.name == "bedside":
                found += [*PROJECT["dependencies"], *asked(*sorted(requirement.extras))]
            else:
                found.append(line)
    return found


ASKED = {
    **{name: [*PROJECT["dependencies"], *asked(name)] for name in ("demo", "test")},
    "train": asked("bench", "train"),
    "lambda-survival": PROJECT["dependencies"],
    "lambda-smart_app": asked("smart"),
    **{f"lambda-{name}": asked(name) for name in ("receiver", "reconcile", "diagnosis", "allocation", "cds_hooks")},
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
    for name in ASKED:
        if name.startswith("lambda-"):
            assert not {"scikit-learn", "scikit-survival", "scipy", "pandas", "torch", "ortools"} & set(pins(name))
    assert "torch" not in pins("train")


def test_the_cds_services_carry_what_the_models_they_run_need() -> None:
    assert pins("lambda-cds_hooks") == pins("lambda-survival")


def test_what_only_the_twin_needs_is_in_no_function() -> None:
    """Its authorization server, its browser, its cloud: none of them belongs where patients' data are."""
    for name in ASKED:
        if name.startswith("lambda-"):
            assert not {"authlib", "playwright", "moto", "flask", "starlette", "uvicorn"} & set(pins(name))
