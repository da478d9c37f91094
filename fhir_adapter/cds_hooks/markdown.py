"""Text of others inside GitHub Flavored Markdown: shown as it is, and nothing else (GFM 0.29, 2.4, 6.1 and 6.11)."""

from __future__ import annotations

import re

__all__ = ["bold", "escaped", "listed"]

# What begins markup anywhere in a line. Entities stand for what HTML begins with, so that a client that shows the
# text as HTML without reading its Markdown is no worse off.
_MARKUP = re.compile(r"[\\`*_\[\]|~#]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What GFM makes a link of by itself (6.9).
_LINKS = re.compile(r"(?i)(?<=[a-z])(:)(?=//)|(?<=www)(\.)|(@)")


def escaped(text: str) -> str:
    """Return text in one line that Markdown shows letter by letter."""
    plain = " ".join(text.split())
    marked = _MARKUP.sub(lambda found: "\\" + found[0], plain)
    return _LINKS.sub(lambda found: "\\" + found[0], marked).translate(_ENTITIES)


def bold(text: str) -> str:
    """Return text of ours in bold; what is others' is escaped before."""
    return f"**{text}**"


def listed(lines: list[str]) -> str:
    """Return a list of lines."""
    return "\n".join(f"- {line}" for line in lines)
