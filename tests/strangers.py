"""Somebody with a model, an empty folder and the command line; and the hospital that is to serve it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.diagnoses import STUDY

Json = dict[str, Any]
REPOSITORY = Path(__file__).parents[1]


@dataclass
class Hospital:
    """A checkout to deploy from, and the empty folder of somebody who brings a model.

    Attributes
    ----------
    checkout, empty : Path
    """

    checkout: Path
    empty: Path

    def python(self, *words: object, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run Python in the empty folder, with the checkout's code."""
        environment = {**os.environ, "PYTHONPATH": str(self.checkout), "REQUIRE_SIGNED_PACKAGES": "true"}
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.empty,
            env=environment | {"POWERTOOLS_METRICS_NAMESPACE": "Bedside", "POWERTOOLS_SERVICE_NAME": "fresh"},
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def command(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self.python("-c", "from infra.cli.main import main; raise SystemExit(main())", *words)

    def bedside(self, *words: object) -> Json:
        """Run a command and return its JSON; the exit status says what it says."""
        done = self.command(*words, "--json")
        assert done.stderr == "", done.stderr
        found: Json = json.loads(done.stdout)
        assert done.returncode == (0 if found.get("ok", True) else 1)
        return found

    def serve(
        self, model: str, focus: str, resources: list[Json], images: Path | None = None, study: str = STUDY
    ) -> Json:
        """Start the function afresh and give it one event."""
        job = {"model": model, "focus": focus, "resources": resources, "images": images and str(images), "study": study}
        done = self.python("-m", "tests.fresh", given=json.dumps(job))
        assert done.returncode == 0, done.stderr
        found: Json = json.loads(done.stdout)
        return found

    def refusal(self) -> str:
        """Start the function afresh where it must not start; returns why."""
        done = self.python(
            "-m", "tests.fresh", given=json.dumps({"model": "x", "focus": "", "resources": [], "images": None})
        )
        assert done.returncode != 0, done.stdout
        return done.stderr.strip().splitlines()[-1]

    @property
    def packages(self) -> Path:
        return self.checkout / "functions" / "diagnosis" / "packages"


def hospital_in(folder: Path) -> Hospital:
    """Make one in an empty folder. Only the functions are copied: they are what a package is added to."""
    checkout = folder / "checkout"
    kept = shutil.ignore_patterns("__pycache__", "packages", "publishers.json")
    shutil.copytree(REPOSITORY / "functions", checkout / "functions", ignore=kept)
    for function in ("diagnosis", "survival"):
        (checkout / "functions" / function / "packages").mkdir()
    for name in ("fhir_adapter", "infra", "tests"):
        (checkout / name).symlink_to(REPOSITORY / name)
    (folder / "empty").mkdir()
    return Hospital(checkout, folder / "empty")


def fill_in(folder: Path, answers: Mapping[str, str]) -> None:
    """Do what a person does with an editor: every TODO that has an answer gets it, the rest are words."""
    path = folder / "model.yaml"
    text = path.read_text(encoding="utf-8")
    for asked, answer in answers.items():
        assert asked in text, asked
        text = text.replace(asked, answer, 1)
    path.write_text(text.replace("TODO", "said by its maker"), encoding="utf-8")
    card = folder / "card.md"
    card.write_text(card.read_text(encoding="utf-8").replace("TODO", "Said by its maker"), encoding="utf-8")
