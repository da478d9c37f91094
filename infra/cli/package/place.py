"""Putting a package where the functions serve it: whole, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from fhir_adapter.errors import ConfigurationError
from functions.serving.errors import ModelRefused
from functions.serving.signing import Publishers, digests
from infra.cli.package.check import check, contract_of
from infra.cli.package.report import Report, Step

__all__ = ["NAME", "add"]

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
FUNCTIONS = Path(__file__).parents[3] / "functions"


def add(folder: Path, to: Path | None, publishers: Publishers, unsigned_ok: bool) -> Report:
    """Check a package and copy it.

    What is checked is the copy, so that nothing can change between the check and its use, and the copy takes its place
    by a rename.

    Parameters
    ----------
    folder : Path
        The package.
    to : Path or None
        A folder of packages; None takes that of the function for its kind.
    publishers : Publishers
        Whose signature counts.
    unsigned_ok : bool
        Take a package without a signature; one with a wrong signature is refused all the same.

    Raises
    ------
    ConfigurationError
        There is no such folder of packages.
    """
    if not (folder / "model.yaml").is_file():
        raise ConfigurationError(f"{folder} is not a package: it has no model.yaml")
    target = _target(to, str(contract_of(folder).get("kind") or ""))
    # beside the packages, not among them: the functions look into every folder there
    with tempfile.TemporaryDirectory(prefix=".package-", dir=target.parent) as beside:
        copy = Path(beside) / folder.resolve().name
        shutil.copytree(folder, copy, symlinks=True)
        report = check(copy, publishers, None)
        report.package = str(folder)
        if not unsigned_ok:
            report.steps = [
                Step(step.rule, "refused", step.detail) if step.rule == "unsigned" else step for step in report.steps
            ]
        if not NAME.match(report.name):
            report.steps.append(Step("name", "refused", f"the name must match {NAME.pattern}"))
        if report.refused:
            return report
        _place(copy, target, report)
    return report


def _target(to: Path | None, kind: str) -> Path:
    target = to or FUNCTIONS / kind / "packages"
    if (to is None and not NAME.match(kind)) or not target.is_dir():
        raise ConfigurationError(f"there is no folder {target}; name one with --to")
    return target.resolve()


def _place(copy: Path, target: Path, report: Report) -> None:
    place = target / report.name
    for other in sorted(path.parent for path in target.glob("*/model.yaml")):
        if other != place and contract_of(other).get("name") == report.name:
            report.steps.append(Step("name", "refused", f"{other} is called {report.name}, too"))
            return
    if not place.exists():
        copy.rename(place)
        report.place = str(place)
        report.steps.append(Step("place", "passed", "added"))
        return
    version, same = str(contract_of(place).get("version")), _content(place) == _content(copy)
    if version == report.version and not same:
        detail = f"version {report.version} is there already with other content; give the new one another version"
        report.steps.append(Step("version", "refused", detail))
        return
    old = copy.with_name(".old")
    place.rename(old)
    try:
        copy.rename(place)
    except OSError:
        old.rename(place)
        raise
    report.place = str(place)
    report.steps.append(Step("place", "passed", "there already" if same else f"replaces version {version}"))


def _content(folder: Path) -> dict[str, str]:
    """Return a package's digests; its signature may be renewed without being another content."""
    try:
        return digests(folder)
    except ModelRefused:
        return {}
