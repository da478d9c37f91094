"""Narrative (FHIR R4 narrative.html, invariants txt-1 and txt-2): a little XHTML, and something in it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

XHTML = "{http://www.w3.org/1999/xhtml}"
ELEMENTS = frozenset(
    """
    a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img
    li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
    """.split()  # noqa: SIM905 - a list of words reads as one
)
ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset
    cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel
    rev rowspan rules scope shape span src start style summary tabindex title type valign value vspace width
    """.split()  # noqa: SIM905 - a list of words reads as one
)
ENTITY = re.compile(r"&(?!(amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)[A-Za-z]+;")


def formatting_only(div: object) -> bool:
    """txt-1: only basic formatting of HTML 4.0, no script, no form, no DTD."""
    root = _parsed(div)
    if root is None or root.tag != f"{XHTML}div":
        return False
    for element in root.iter():
        if not element.tag.startswith(XHTML) or element.tag.removeprefix(XHTML) not in ELEMENTS:
            return False
        names = {name.removeprefix("{http://www.w3.org/XML/1998/namespace}") for name in element.attrib}
        if names - ATTRIBUTES:
            return False
    return True


def has_content(div: object) -> bool:
    """txt-2: text that is not white space, or an image."""
    root = _parsed(div)
    return root is not None and (bool("".join(root.itertext()).strip()) or root.find(f".//{XHTML}img") is not None)


def _parsed(div: object) -> ElementTree.Element | None:
    if not isinstance(div, str) or "<!" in div.replace("<!--", ""):
        return None
    try:
        return ElementTree.fromstring(ENTITY.sub(" ", div))
    except ElementTree.ParseError:
        return None
