"""What became of a package, rule by rule, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_adapter.prediction import Diagnosis, Prediction
from functions.serving.errors import ModelRefused

__all__ = ["Example", "Report", "Step", "in_numbers", "in_words", "refusal", "told"]

MARKS = {"passed": "ok      ", "refused": "REFUSED ", "warning": "warning "}


@dataclass(frozen=True)
class Step:
    """One rule and its outcome."""

    rule: str
    outcome: Literal["passed", "refused", "warning"]
    detail: str


@dataclass(frozen=True)
class Example:
    """What the model said about one example; it names a place in a file, never a patient.

    Parameters
    ----------
    where : str
        Such as ``rows.csv row 3``.
    answer : str
        ``prediction``; ``accepted``, for what a model may look at; or the reason of a refusal.
    detail : str
        The risks, what the graph would be given, or the reason in words.
    values : dict of str to float
        What the model said, for programs: findings and measurements by name, risks by their days.
    """

    where: str
    answer: str
    detail: str
    values: dict[str, float] = field(default_factory=dict)


@dataclass
class Report:
    """What became of a package.

    Parameters
    ----------
    package : str
        Its folder.
    name, version, kind : str
        As its contract says; empty when it does not.
    steps : list of Step
    examples : list of Example or None
        None when none were asked for.
    place : str
        Where it was written; empty when it was not.
    """

    package: str
    name: str = ""
    version: str = ""
    kind: str = ""
    steps: list[Step] = field(default_factory=list)
    examples: list[Example] | None = None
    place: str = ""

    @property
    def refused(self) -> bool:
        """Whether any rule refuses the package."""
        return any(step.outcome == "refused" for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Return one JSON object."""
        listed = {
            outcome: [{"rule": step.rule, "detail": step.detail} for step in self.steps if step.outcome == outcome]
            for outcome in ("refused", "warning", "passed")
        }
        found: dict[str, Any] = {
            "package": self.package,
            "name": self.name,
            "version": self.version,
            "kind": self.kind,
            "ok": not self.refused,
            "refused": listed["refused"],
            "warnings": listed["warning"],
            "passed": listed["passed"],
        }
        if self.place:
            found["place"] = self.place
        if self.examples is not None:
            found["examples"] = {
                "answers": dict(Counter(example.answer for example in self.examples)),
                "each": [vars(example) for example in self.examples],
            }
        return found


def in_words(answer: Prediction | Diagnosis, digits: int) -> str:
    """Return the numbers of an answer in a line."""
    if isinstance(answer, Prediction):
        return ", ".join(f"{risk.probability:.{digits}f} in {risk.days:g} days" for risk in answer.risks)
    found = [f"{item.name} {item.probability:.{digits}f}" for item in answer.findings]
    return ", ".join([*found, *(f"{item.name} {item.value:.4g} {item.unit}" for item in answer.measurements)])


def in_numbers(answer: Prediction | Diagnosis) -> dict[str, float]:
    """Return the numbers of an answer by name."""
    if isinstance(answer, Prediction):
        return {f"{risk.days:g}": risk.probability for risk in answer.risks}
    found = {item.name: item.probability for item in answer.findings}
    return found | {item.name: item.value for item in answer.measurements}


def refusal(error: ModelRefused) -> Step:
    """Return a refusal without the words that name the package again."""
    return Step(error.rule, "refused", str(error).split(f"rule '{error.rule}': ", 1)[-1])


def told(report: Report) -> str:
    """Return the report in lines."""
    title = " ".join(word for word in (report.name, report.version, f"({report.kind})" if report.kind else "") if word)
    lines = [f"{report.package}: {title}" if title else report.package]
    lines += [f"  {MARKS[step.outcome]}{step.rule}: {step.detail}" for step in report.steps]
    if report.examples is not None:
        lines += [f"  {example.where}: {example.answer}: {example.detail}" for example in report.examples]
        counts = Counter(example.answer for example in report.examples).most_common()
        summary = ", ".join(f"{count} {answer}" for answer, count in counts)
        lines.append(f"  {len(report.examples)} examples{': ' + summary if summary else ''}")
    if report.place:
        lines.append(f"  in {report.place}")
    refused = [step for step in report.steps if step.outcome == "refused"]
    lines.append(f"refused by {len(refused)} rule{'s'[: len(refused) != 1]}" if refused else "ok")
    return "\n".join(lines) + "\n"
