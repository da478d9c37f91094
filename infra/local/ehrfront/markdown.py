"""The little Markdown that cards use, as HTML: paragraphs, lists, bold. Everything else stays the text it is."""

from __future__ import annotations

import html
import re

from markupsafe import Markup, escape

__all__ = ["rendered"]

_PIECES = re.compile(r"\\([\\`*_\[\]|~#:.@])|\*\*(.+?)\*\*")


def rendered(text: str) -> Markup:
    """Return the HTML of a card's detail (GitHub Flavored Markdown; CDS Hooks 2.0, Card Attributes)."""
    blocks = (block for block in text.split("\n\n") if block.strip())
    return Markup("").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    lines = block.split("\n")
    if all(line.startswith("- ") for line in lines):
        return Markup("<ul>{}</ul>").format(
            Markup("").join(Markup("<li>{}</li>").format(_inline(line[2:])) for line in lines)
        )
    return Markup("<p>{}</p>").format(_inline(" ".join(lines)))


def _inline(text: str) -> Markup:
    found, at = Markup(""), 0
    for piece in _PIECES.finditer(text):
        found += _plain(text[at : piece.start()])
        found += _plain(piece[1]) if piece[1] else Markup("<strong>{}</strong>").format(_inline(piece[2]))
        at = piece.end()
    return found + _plain(text[at:])


def _plain(text: str) -> Markup:
    # the card has entities where markup could begin; what they stand for is escaped once, here
    return escape(html.unescape(text))
