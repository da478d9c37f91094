"""FHIRPath (N1, 2.0.0) over a patient's resources: for what codes cannot say.

An expression is parsed when the input is declared, so that a wrong one is refused with the package and not at the
bedside; it is compiled once. The library is imported only by packages that have such an input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirAdapterError

__all__ = ["PathError", "check_path", "evaluate_path", "roots_of"]

# What would make the same record answer differently tomorrow, reach beyond the record, or write it to a log.
FORBIDDEN = frozenset({"now", "today", "timeOfDay", "resolve", "trace", "memberOf", "conformsTo", "htmlChecks"})
ROOTS = ("Patient", "Encounter", "Observation", "Condition")

_Compiled = Callable[[list[Json], dict[str, Any]], list[Any]]


class PathError(FhirAdapterError):
    """A FHIRPath expression cannot be evaluated on this record; the text never quotes the record."""


def check_path(expression: str) -> None:
    """Refuse an expression that is not FHIRPath, or that does not depend on the record alone.

    Raises
    ------
    ValueError
        Saying why.
    """
    tree = _tree(expression)
    forbidden = sorted(FORBIDDEN.intersection(_functions(tree)))
    if forbidden:
        raise ValueError(f"expression uses {', '.join(forbidden)}(), which does not depend on the record alone")
    if not roots_of(expression):
        raise ValueError(f"expression must start from one of {', '.join(ROOTS)}")
    try:
        _compiled(expression)([], {"indexTime": "2000-01-01T00:00:00Z"})
    except Exception as error:  # noqa: BLE001 - fhirpathpy raises Exception itself; no record is involved here
        raise ValueError(f"expression cannot be evaluated: {error}") from None


def roots_of(expression: str) -> frozenset[str]:
    """Return the resource types that an expression names; a value from it came from resources of these."""
    return frozenset(_identifiers(_tree(expression))) & frozenset(ROOTS)


def evaluate_path(expression: str, resources: Sequence[Json], index_time: datetime) -> list[Any]:
    """Evaluate an expression on a collection of resources; a leading type name picks those of its type.

    Parameters
    ----------
    index_time : datetime
        Known to the expression as ``%indexTime``.

    Raises
    ------
    PathError
        When the record has not the shape that the expression expects.
    """
    try:
        return _compiled(expression)(list(resources), {"indexTime": index_time.isoformat()})
    except Exception:  # noqa: BLE001 - fhirpathpy raises Exception itself, with the record in its text
        raise PathError("the expression cannot be evaluated on this record") from None


@lru_cache(maxsize=128)
def _compiled(expression: str) -> _Compiled:
    from fhirpathpy import compile as compiled
    from fhirpathpy.models import models

    return compiled(expression, models["r4"])  # type: ignore[return-value]


@lru_cache(maxsize=128)
def _tree(expression: str) -> Any:
    """Return the syntax tree. fhirpathpy's own parser stops at what it does not understand, and says nothing."""
    from antlr4 import CommonTokenStream, InputStream
    from fhirpathpy.parser import parse
    from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
    from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

    lexer = FHIRPathLexer(InputStream(expression))
    lexer.removeErrorListeners()
    parser = FHIRPathParser(CommonTokenStream(lexer))
    parser.removeErrorListeners()
    parser.expression()
    token = parser.getCurrentToken()
    if parser.getNumberOfSyntaxErrors() or token.type != token.EOF:
        raise ValueError(f"expression is not FHIRPath near character {token.start}")
    read: Callable[[str], Any] = parse
    return read(expression)


def _nodes(tree: Any) -> Iterator[Any]:
    yield tree
    for child in tree.get("children", ()):
        yield from _nodes(child)


def _functions(tree: Any) -> Iterator[str]:
    for node in _nodes(tree):
        if node.get("type") == "Functn":
            yield str(node["children"][0].get("text"))


def _identifiers(tree: Any) -> Iterator[str]:
    for node in _nodes(tree):
        if node.get("type") == "Identifier":
            yield str(node.get("text"))
