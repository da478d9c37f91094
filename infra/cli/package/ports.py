"""What a contract says about its graph, ``graph`` and ``findings``, against the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from functions.serving.contract import Interface
from infra.cli.package.report import Step

__all__ = ["ports"]


def ports(data: Mapping[str, Any], graph: Interface) -> Iterator[Step]:
    """Yield what the contract names and the graph does not have.

    Parameters
    ----------
    data : mapping
        The contract: ``graph: {input, outputs: {name: {shape}}}``, ``findings: [{name, output, index}]``.
    graph : Interface
    """
    declared = data.get("graph")
    if isinstance(declared, Mapping):
        yield from _input(declared, graph)
        yield from _outputs(declared.get("outputs"), graph)
    findings = data.get("findings")
    for item in findings if isinstance(findings, list) else []:
        if isinstance(item, Mapping):
            yield from _finding(item, graph)


def _input(declared: Mapping[str, Any], graph: Interface) -> Iterator[Step]:
    names = [port.name for port in graph.inputs]
    if "input" in declared and [declared["input"]] != names:
        detail = f"the contract feeds {declared['input']!r}, the graph takes {', '.join(names)}"
        yield Step("inputs", "refused", detail)


def _outputs(declared: Any, graph: Interface) -> Iterator[Step]:
    given = {port.name: port for port in graph.outputs}
    for name, said in declared.items() if isinstance(declared, Mapping) else ():
        if name not in given:
            yield Step("outputs", "refused", f"the graph has no output {name!r}, only {', '.join(sorted(given))}")
            continue
        shape = said.get("shape") if isinstance(said, Mapping) else None
        if isinstance(shape, list) and not _agree(shape, given[name].shape):
            yield Step("outputs", "refused", f"the contract gives {name} the shape {shape}, the graph {given[name]}")


def _agree(said: Sequence[Any], given: Sequence[int | str | None]) -> bool:
    """Two shapes agree when no two numbers differ; a name stands for any number."""
    if len(said) != len(given):
        return False
    return all(a == b for a, b in zip(said, given, strict=True) if isinstance(a, int) and isinstance(b, int))


def _finding(item: Mapping[str, Any], graph: Interface) -> Iterator[Step]:
    """A finding is read from an output of the graph, and from a column that it has."""
    given = {port.name: port for port in graph.outputs}
    name, output, index = item.get("name"), item.get("output"), item.get("index", 0)
    if output not in given:
        told = f"the graph has no output {output!r}, only {', '.join(sorted(given))}"
        yield Step("outputs", "refused", f"finding {name!r}: {told}")
        return
    columns = given[output].shape[-1] if given[output].shape else None
    if isinstance(columns, int) and not (isinstance(index, int) and 0 <= index < columns):
        yield Step("outputs", "refused", f"finding {name!r}: {output} has no column {index!r}, only {columns}")
