"""Invariants as HL7 wrote them, evaluated by fhirpathpy on the R4 model.

fhirpathpy 2.2 follows FHIRPath N1; R4's invariants were written a little before it, and need a few functions that
are FHIR's own (FHIR R4 fhirpath.html#functions). What is added or replaced is in :data:`FUNCTIONS`, each with why.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from fhirpathpy.engine import do_eval, util
from fhirpathpy.engine.invocations.constants import constants
from fhirpathpy.engine.nodes import ResourceNode, TypeInfo
from fhirpathpy.models import models
from fhirpathpy.parser import parse

from tests.validator.references import Scope

MODEL = models["r4"]
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?")
UCUM = "http://unitsofmeasure.org"

Compare = Callable[[Any, Any], bool]


class NotEvaluable(RuntimeError):
    """An expression did not evaluate; the cause is chained."""


def holds(expression: str, node: Any, path: str, scope: Scope) -> bool:
    """Return whether an invariant is true of a node.

    Parameters
    ----------
    expression : str
        FHIRPath.
    node : object
        The resource or element, as :func:`visible` shows it.
    path : str
        Its path or type in R4's model: ``Observation.component``, ``Quantity``.
    scope : Scope
        What the expression's environment variables mean.

    Raises
    ------
    NotEvaluable
        It raised: something is wrong with the node's structure, or the expression is beyond fhirpathpy.
    """
    root = node if isinstance(node, Mapping) and "resourceType" in node else ResourceNode.create_node(node, path)
    TypeInfo.model = MODEL
    constants.reset()
    context = {
        "dataRoot": [root],
        "vars": {"context": node, "resource": scope.resource, "rootResource": scope.root, "ucum": UCUM},
        "model": MODEL,
        "userInvocationTable": FUNCTIONS,
        "scope": scope,
    }
    try:
        result = do_eval(context, [root], _parsed(expression))
    except Exception as error:  # the edge: an evaluator that raises whatever it likes
        raise NotEvaluable(f"{type(error).__name__}: {expression}") from error
    return len(result) == 1 and util.get_data(result[0]) is True


def visible(value: Any) -> Any:
    """Return a copy for fhirpathpy, where a primitive and its extensions (``_name``) are one node and not two.

    FHIR R4 json.html#primitive. The value wins; without a value the extensions stand alone.
    """
    if isinstance(value, list):
        return [visible(item) for item in value]
    if not isinstance(value, dict):
        return value
    shown: dict[str, Any] = {}
    for name, item in value.items():
        if not name.startswith("_"):
            extra = value.get(f"_{name}")
            shown[name] = _merged(item, extra) if isinstance(item, list) else visible(item)
        elif name[1:] not in value:
            shown[name] = visible(item)
    return shown


def _merged(items: list[Any], extra: Any) -> list[Any]:
    extras = extra if isinstance(extra, list) else []
    padded = extras + [None] * (len(items) - len(extras))
    return [visible(item) if item is not None else other for item, other in zip(items, padded, strict=False)]


@cache
def _parsed(expression: str) -> Any:
    return parse(expression)["children"][0]


def _has_value(ctx: dict[str, Any], nodes: list[Any]) -> bool:
    return len(nodes) == 1 and not isinstance(util.get_data(nodes[0]), Mapping | None)


def _starts_with(ctx: dict[str, Any], nodes: list[Any], prefix: str) -> bool:
    data = util.get_data(nodes[0]) if len(nodes) == 1 else None
    return isinstance(data, str) and data.startswith(prefix)


def _resolve(ctx: dict[str, Any], nodes: list[Any]) -> list[Any]:
    found = []
    for node in nodes:
        data = util.get_data(node)
        literal = data.get("reference") if isinstance(data, Mapping) else data
        target = ctx["scope"].find(literal) if isinstance(literal, str) else None
        if target is not None:
            found.append(ResourceNode.create_node(target))
    return found


def _as(ctx: dict[str, Any], nodes: list[Any], wanted: Any) -> list[Any]:
    return [node for node in nodes if _is_a(node, wanted)]


def _is_a(node: Any, wanted: Any) -> bool:
    found = TypeInfo.from_value(node)
    return bool(found and found.is_(wanted))


def _trace(ctx: dict[str, Any], nodes: list[Any], *_: Any) -> list[Any]:
    return nodes


def _ordered(compare: Compare) -> Callable[..., Any]:
    def ordered(ctx: dict[str, Any], left: list[Any], right: list[Any]) -> Any:
        if len(left) != 1 or len(right) != 1:
            raise ValueError("an inequality of collections")
        return _compared(compare, util.get_data(left[0]), util.get_data(right[0]))

    return ordered


def _compared(compare: Compare, left: Any, right: Any) -> Any:
    """Return true, false, or nothing where the two cannot be ordered."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        units = [(side.get("system"), side.get("code", side.get("unit"))) for side in (left, right)]
        values = [side.get("value") for side in (left, right)]
        if units[0] != units[1] or None in values:
            return []
        return _compared(compare, *values)
    if isinstance(left, str) and isinstance(right, str) and DATE.fullmatch(left) and DATE.fullmatch(right):
        return _dates_compared(compare, left, right)
    if isinstance(left, str) and isinstance(right, str):
        return compare(left, right)
    return compare(Decimal(str(left)), Decimal(str(right)))


def _dates_compared(compare: Compare, left: str, right: str) -> Any:
    if "T" in left and "T" in right:
        return compare(*(datetime.fromisoformat(side).astimezone(UTC) for side in (left, right)))
    length = min(len(side.partition("T")[0]) for side in (left, right))
    if left[:length] != right[:length] or len(left) == len(right):
        return compare(left[:length], right[:length])
    return []  # the same as far as both go, and then one goes on


FUNCTIONS: dict[str, dict[str, Any]] = {
    # FHIR's own, which FHIRPath does not have
    "hasValue": {"fn": _has_value},
    "resolve": {"fn": _resolve},
    # ref-1 is meant to hold for a Reference without a reference: as in HL7's validator, nothing starts with nothing
    "startsWith": {"fn": _starts_with, "arity": {1: ["String"]}},
    # fhirpathpy prints
    "trace": {"fn": _trace, "arity": {1: ["String"], 2: ["String", "Expr"]}},
    # R4 uses as() on collections (dom-3), which N1 made an error
    "as": {"fn": _as, "arity": {1: ["TypeSpecifier"]}},
    "asOp": {"fn": _as, "arity": {2: ["Any", "TypeSpecifier"]}},
    # fhirpathpy compares dates as text, whatever their time zones, and cannot compare Quantities of a resource
    "<": {"fn": _ordered(operator.lt), "arity": {2: ["Any", "Any"]}, "nullable": True},
    "<=": {"fn": _ordered(operator.le), "arity": {2: ["Any", "Any"]}, "nullable": True},
    ">": {"fn": _ordered(operator.gt), "arity": {2: ["Any", "Any"]}, "nullable": True},
    ">=": {"fn": _ordered(operator.ge), "arity": {2: ["Any", "Any"]}, "nullable": True},
}
