"""A table for people, as HTML and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Table", "bullets", "html_table", "html_tables", "markdown", "paragraph"]


@dataclass(frozen=True)
class Table:
    """A table: its first column heads the rows.

    Parameters
    ----------
    caption : str
        One sentence above it.
    head : tuple of str, length k
        Column heads.
    rows : tuple of tuple of str, each of length k
        Cells.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"a row of {self.caption!r} does not fit its heads")


def paragraph(text: str) -> str:
    """Return a paragraph of HTML; nothing for nothing."""
    return f"<p>{escape(text)}</p>" if text else ""


def html_tables(found: Mapping[str, Table], *names: str) -> str:
    """Return those of these tables that there are."""
    return "".join(html_table(found[name]) for name in names if name in found)


def html_table(table: Table) -> str:
    """Return a table that scrolls by itself where the page is narrow."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.head)
    rows = "".join(_row(row) for row in table.rows)
    label = escape(table.caption, quote=True)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f"<table><caption>{escape(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(row: Sequence[str]) -> str:
    cells = "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:])
    return f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>'


def _cell(text: str) -> str:
    """Escape a cell; an interval breaks as a whole onto the next line, not within."""
    return re.sub(r"\((-?[\d.]+) to (-?[\d.]+)\)", "(\\1\u00a0to\u00a0\\2)", escape(text))


def markdown(table: Table) -> str:
    """Return a table of Markdown below its caption."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rules = line("---" for _ in table.head)
    return "\n".join([table.caption, "", line(table.head), rules, *(line(row) for row in table.rows)])


def bullets(items: Iterable[str]) -> str:
    """Return a list of Markdown."""
    return "\n".join(f"- {item}" for item in items)
