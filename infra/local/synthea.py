"""One whole life as Synthea writes it: thousands of resources, of which a model needs a handful."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from infra.local.bundles import admission, transaction

DEFAULT_SEED = 28
# Her life ends on this day for Synthea; a fixed day gives the same resources every time.
DEFAULT_REFERENCE = date(2026, 1, 1)
ADMISSION_ID = "synthea-admission"
BUNDLE_SIZE = 400


class SyntheaError(RuntimeError):
    """Synthea did not write a history; carries the last line that it said."""


def generate_history(
    seed: int = DEFAULT_SEED,
    reference: date = DEFAULT_REFERENCE,
    *,
    gender: str = "F",
    ages: str = "45-49",
    timeout: float = 120.0,
) -> list[dict[str, Any]]:
    """Generate one synthetic person's whole record.

    Parameters
    ----------
    seed : int
        Seed of the generator. The default's history has no inpatient stay of its own, so the admission that
        is added to it is the only one.
    reference : date
        The day on which the record ends.
    gender : str
        ``F`` or ``M``.
    ages : str
        Range of ages in years, ``low-high``.
    timeout : float
        Seconds to wait for it.

    Returns
    -------
    list of dict
        FHIR R4 resources in the order in which they can be stored, with ``Type/id`` references.

    Raises
    ------
    SyntheaError
        It failed, or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="bedside-synthea-") as folder:
        command = [sys.executable, "-W", "ignore", "-m", "synthea.cli", "-p", "1", "-s", str(seed), "-g", gender]
        command += ["-a", ages, "-r", reference.strftime("%Y%m%d"), "-o", folder]
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter, arguments of ours
                command,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                cwd=folder,
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        except subprocess.TimeoutExpired as error:
            raise SyntheaError(f"no history after {timeout:.0f} s") from error
        written = sorted(Path(folder).glob("fhir/*.json"))
        if done.returncode != 0 or len(written) != 1:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise SyntheaError(said[-1] if said else "it wrote nothing and said nothing")
        return _resources(written[0].read_text(encoding="utf-8"))


def history_bundles(resources: list[dict[str, Any]], size: int = BUNDLE_SIZE) -> Iterator[dict[str, Any]]:
    """Cut a record into transaction Bundles that a server takes in one request each.

    Parameters
    ----------
    resources : list of dict
        From :func:`generate_history`.
    size : int
        Entries per Bundle.

    Yields
    ------
    dict
        A transaction Bundle; PUTs only, so loading twice changes nothing but versions.
    """
    for start in range(0, len(resources), size):
        yield transaction(resources[start : start + size])


def admission_bundle(resources: list[dict[str, Any]], admitted: datetime) -> dict[str, Any]:
    """Return the Bundle that admits the person to hospital."""
    patient = next(resource for resource in resources if resource["resourceType"] == "Patient")
    return transaction([admission(patient["id"], admitted, encounter_id=ADMISSION_ID)])


def _resources(text: str) -> list[dict[str, Any]]:
    """Read Synthea's Bundle, with ``urn:uuid`` references turned into ``Type/id``."""
    entries = json.loads(text)["entry"]
    types = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in entries}

    def relative(match: re.Match[str]) -> str:
        urn = match.group(1)
        return f'"{types[urn]}/{urn.removeprefix("urn:uuid:")}"' if urn in types else match.group(0)

    resources: list[dict[str, Any]] = []
    for entry in entries:
        resource = {**entry["resource"], "id": entry["fullUrl"].removeprefix("urn:uuid:")}
        resources.append(json.loads(re.sub(r'"(urn:uuid:[0-9a-f-]+)"', relative, json.dumps(resource))))
    return sorted(resources, key=lambda resource: resource["resourceType"] != "Patient")
