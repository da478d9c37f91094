"""Model cards as HTML: headings, lists, tables, emphasis and code of Markdown, everything else as plain text.

Whatever is not of this small set is escaped; links are shown as their text, since a page leads nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

__all__ = ["html_of"]

# Headings of a card stand under the page's own.
DEEPER, DEEPEST = 1, 6
FENCE = "```"
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"\s*(?:[-*]|\d+\.)\s+(.*)")
_RULE = re.compile(r"\|?[\s:|-]+\|[\s:|-]*\Z")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")


def html_of(text: str) -> Markup:
    """Return a card as HTML, safe to put into a page."""
    return Markup("\n").join(_block(lines) for lines in _blocks(text))


def _blocks(text: str) -> list[list[str]]:
    """Lines that belong together: a heading alone, a paragraph, a list, a table."""
    blocks: list[list[str]] = [[]]
    for line in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).splitlines():
        if line.startswith(FENCE):
            blocks += [[]] if blocks[-1][:1] == [FENCE] else [[FENCE]]
        elif blocks[-1][:1] == [FENCE]:
            blocks[-1].append(line)
        elif not line.strip():
            blocks.append([])
        elif _HEADING.match(line):
            blocks += [[line], []]
        elif blocks[-1] and (_ITEM.match(line) is None or _ITEM.match(blocks[-1][0])):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return [block for block in blocks if block]


def _block(lines: Sequence[str]) -> Markup:
    if lines[0] == FENCE:
        return Markup('<pre tabindex="0">{}</pre>').format("\n".join(lines[1:]))
    heading = _HEADING.match(lines[0])
    if heading:
        level = min(len(heading[1]) + DEEPER, DEEPEST)
        return Markup("<h{0}>{1}</h{0}>").format(level, _inline(heading[2]))
    if len(lines) > 1 and "|" in lines[0] and _RULE.match(lines[1].strip()):
        return _table(lines)
    if _ITEM.match(lines[0]):
        items: list[str] = []
        for line in lines:
            item = _ITEM.match(line)
            if item:
                items.append(item[1])
            else:
                items[-1] += f" {line.strip()}"
        return Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(_inline(i)) for i in items))
    return Markup("<p>{}</p>").format(_inline(" ".join(line.strip() for line in lines)))


def _table(lines: Sequence[str]) -> Markup:
    head, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in (lines[0], *lines[2:]))
    top = Markup("").join(Markup('<th scope="col">{}</th>').format(_inline(cell)) for cell in head)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(_inline(cell)) for cell in row))
        for row in rows
    )
    # a wide table scrolls by itself, and by keyboard
    return Markup(
        '<div class="wide" tabindex="0" role="group" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head[0] or "Table", top, body)


def _inline(text: str) -> Markup:
    plain = str(escape(_LINK.sub(r"\1", text)))
    return Markup(_BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", plain)))  # noqa: S704 - escaped above
