"""A JSON document whose values know their line, so that a malformed file is refused by line and field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from json import decoder
from pathlib import Path
from typing import Any, NoReturn

from functions.allocation.planner.errors import Malformed

__all__ = ["Node", "read"]

Step = str | int


class Node:
    """One value of a document, with the way to it.

    Parameters
    ----------
    name : str
        Of the file, for people.
    text : str
        The whole document.
    value
        As the standard library reads it.
    path : tuple
        Keys and positions from the document's root.
    """

    def __init__(self, name: str, text: str, value: Any, path: tuple[Step, ...] = ()) -> None:
        self.name = name
        self.text = text
        self.value = value
        self.path = path

    @property
    def field(self) -> str:
        """The way from the root, such as ``patients[3].gender``."""
        words = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return words.removeprefix(".")

    def fail(self, problem: str) -> NoReturn:
        """Refuse the document because of this value.

        Raises
        ------
        Malformed
            Always. The line is looked for only now, as whole documents are rarely wrong.
        """
        raise Malformed(self.name, _line(self.text, self.path), self.field, problem)

    def has(self, key: str) -> bool:
        """Whether an object has a member that is not null."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def __getitem__(self, key: str) -> Node:
        """Return a member that must be there."""
        if not isinstance(self.value, dict):
            self.fail(f"is {_kind(self.value)}; an object is needed")
        if key not in self.value:
            self.fail(f"has no {key!r}")
        return Node(self.name, self.text, self.value[key], (*self.path, key))

    def items(self, length: int | None = None, least: int | None = None) -> Iterator[Node]:
        """Return the items of an array, of a given or a least length."""
        if not isinstance(self.value, list):
            self.fail(f"is {_kind(self.value)}; an array is needed")
        if length is not None and len(self.value) != length:
            self.fail(f"has {len(self.value)} items; {length} are needed")
        if least is not None and len(self.value) < least:
            self.fail(f"has {len(self.value)} items; at least {least} are needed")
        return (Node(self.name, self.text, item, (*self.path, at)) for at, item in enumerate(self.value))

    def integer(self, least: int = 0, most: int = 1_000_000) -> int:
        """Return a whole number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fail(f"is {_kind(self.value)}; a whole number is needed")
        if not least <= self.value <= most:
            self.fail(f"is {self.value}; {least} to {most} is allowed")
        return self.value

    def boolean(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"is {_kind(self.value)}; true or false is needed")
        return self.value

    def string(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            self.fail(f"is {_kind(self.value)}; a text is needed")
        return self.value

    def one_of(self, known: Sequence[str], what: str) -> int:
        """Return the position of a text among those known."""
        word = self.string()
        if word not in known:
            self.fail(f"is {word!r}, which is no {what} of this instance")
        return known.index(word)

    def integers(self, length: int, least: int = 0, most: int = 1_000_000) -> list[int]:
        """Return an array of whole numbers, of a given length."""
        return [item.integer(least, most) for item in self.items(length)]


def read(source: Path) -> Node:
    """Read a JSON file.

    Parameters
    ----------
    source : Path
        UTF-8.

    Returns
    -------
    Node
        The root.

    Raises
    ------
    Malformed
        When it is no JSON, or an object names a member twice.
    OSError
        When it cannot be read.
    """
    raw = source.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = raw.count(b"\n", 0, broken.start) + 1
        raise Malformed(source.name, line, "", f"is no UTF-8: {broken.reason}") from None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as broken:
        problem = f"is no JSON: {broken.msg} (column {broken.colno})"
        raise Malformed(source.name, broken.lineno, "", problem) from None
    except _Constant as constant:
        raise Malformed(source.name, 1, "", f"is no JSON: {constant} is no number of JSON") from None
    except RecursionError:
        raise Malformed(source.name, 1, "", "is nested too deeply") from None
    return Node(source.name, text, value)


def unique(nodes: Iterable[tuple[Node, str]], what: str) -> list[str]:
    """Return the names of nodes, each of which may be there once."""
    found: dict[str, None] = {}
    for node, name in nodes:
        if name in found:
            node.fail(f"is {name!r}, as an earlier {what} is")
        found[name] = None
    return list(found)


class _Constant(Exception):
    """NaN or an infinity, which Python reads and JSON does not have."""


def _no_constant(word: str) -> NoReturn:
    raise _Constant(word)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a truth value", int: "a number"}
    return kinds.get(type(value), "a fraction")


def _line(text: str, path: tuple[Step, ...]) -> int:
    """Return the line on which the value at a path begins; the whole was read before, so it is well-formed."""
    at = _skip(text, 0)
    for step in path:
        at = _enter(text, at, step)
    return text.count("\n", 0, at) + 1


def _enter(text: str, at: int, step: Step) -> int:
    """Return where a member's or an item's value begins, given where its object or array does."""
    at, count, found = _skip(text, at + 1), 0, -1
    while text[at] not in "}]":
        key: Step = count
        if isinstance(step, str):
            key, at = decoder.scanstring(text, at + 1, True)  # type: ignore[attr-defined]
            at = _skip(text, _skip(text, at) + 1)
        if key == step:
            # The last of equal keys is the one that the standard library keeps.
            found = at
        at = _skip(text, _SCAN(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
        count += 1
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


_SCAN: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
