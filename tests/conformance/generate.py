"""Write README.md: each line of the standards, and the tests that show it.

::

    python -m tests.conformance.generate

Tests name the lines they show with ``@pytest.mark.conformance("C03", ...)``, on the function, its class, or the whole
module (``pytestmark``), or on one case (``pytest.param(..., marks=...)``). They are found by reading the source: no
test is imported. A line that no test shows needs a reason in ``reasons.toml``.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
README = HERE / "README.md"
HEAD = """# What the FHIR adapter conforms to, and which test shows it

Made from `lines.toml`, `reasons.toml` and the marks in the tests by `python -m tests.conformance.generate`; a test
fails when this file is stale. S: the standard says SHALL. s: it says SHOULD. P: practice, what servers turned out to
need.
"""


@dataclass(frozen=True)
class Line:
    """One requirement.

    Parameters
    ----------
    name : str
        ``C03``.
    level : str
        ``S``, ``s`` or ``P``.
    text : str
        What is required, and by which part of a standard.
    """

    name: str
    level: str
    text: str

    def __post_init__(self) -> None:
        if self.level not in {"S", "s", "P"}:
            raise ValueError(f"{self.name}: level is S, s or P")

    @property
    def section(self) -> str:
        """First letter of the name."""
        return self.name[0]


def sections() -> dict[str, str]:
    """Return the sections' titles by letter."""
    found: dict[str, str] = _toml("lines.toml")["sections"]
    return found


def lines() -> list[Line]:
    """Return every line, in order."""
    found: dict[str, list[str]] = _toml("lines.toml")["lines"]
    return [Line(name, *said) for name, said in sorted(found.items())]


def reasons() -> dict[str, str]:
    """Return why some lines are shown by no test."""
    return {str(name): str(reason) for name, reason in _toml("reasons.toml").items()}


def shown_by(files: Iterable[Path] | None = None, root: Path = TESTS) -> dict[str, list[str]]:
    """Return the tests by the line they show.

    Parameters
    ----------
    files : iterable of Path, optional
        Test files; all of them by default.
    root : Path
        What test ids are relative to.

    Returns
    -------
    dict
        Line -> ``unit/test_x.py::test_y``, sorted.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(files if files is not None else root.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for test, names in _tests(tree):
            for name in names:
                found.setdefault(name, set()).add(f"{path.relative_to(root).as_posix()}::{test}")
    return {name: sorted(tests) for name, tests in found.items()}


def _tests(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    for_all = _pytestmark(tree.body)
    for node in tree.body:
        if _is_test(node):
            yield node.name, for_all | _marked(node)
        elif isinstance(node, ast.ClassDef):
            of_class = for_all | _marked(*node.decorator_list) | _pytestmark(node.body)
            for inner in filter(_is_test, node.body):
                yield f"{node.name}::{inner.name}", of_class | _marked(inner)


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def _pytestmark(body: list[ast.stmt]) -> set[str]:
    marks = [node for node in body if isinstance(node, ast.Assign) and "pytestmark" in map(_name, node.targets)]
    return _marked(*marks)


def _marked(*nodes: ast.AST) -> set[str]:
    """Return the arguments of every ``conformance(...)`` below some nodes."""
    found: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Call) and _name(node.func) == "conformance":
            if not all(isinstance(item, ast.Constant) and isinstance(item.value, str) for item in node.args):
                raise ValueError(f"line {node.lineno}: conformance(...) takes names of lines, written out")
            found |= {str(item.value) for item in node.args if isinstance(item, ast.Constant)}
    return found


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def table(shown: Mapping[str, list[str]], why: Mapping[str, str]) -> str:
    """Return README.md.

    Parameters
    ----------
    shown : mapping
        Tests by line.
    why : mapping
        Reasons by line.
    """
    parts = [HEAD]
    for letter, title in sections().items():
        parts.append(f"## {letter}. {title}\n")
        parts.append("| line | | requirement | shown by |")
        parts.append("| --- | --- | --- | --- |")
        for line in lines():
            if line.section == letter:
                cells = (line.name, line.level, line.text, _shown(line.name, shown, why))
                parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        parts.append("")
    return "\n".join(parts)


def _shown(name: str, shown: Mapping[str, list[str]], why: Mapping[str, str]) -> str:
    tests = "<br>".join(f"`{test}`" for test in shown.get(name, []))
    reason = f"*{why[name]}*" if name in why else ""
    return "<br>".join(part for part in (tests, reason) if part) or "nothing"


def _toml(name: str) -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


def main() -> None:
    """Write README.md."""
    README.write_text(table(shown_by(), reasons()), encoding="utf-8")


if __name__ == "__main__":
    main()
