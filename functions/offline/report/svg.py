"""Pictures as inline SVG: the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Draw", "svg"]

Draw = Callable[["Axes"], None]


def svg(name: str, draw: Draw, size: tuple[float, float], description: str) -> str:
    """Draw one figure.

    Parameters
    ----------
    name : str
        Its own within a page.
    draw : callable
        Draws onto axes.
    size : tuple of float
        Width and height in inches: the smaller, the larger its letters where it is scaled to the page.
    description : str
        What it shows, for those who cannot see it; escaped for an attribute.

    Returns
    -------
    str
        An ``<svg>`` element without scripts, dates or links; its ids are its own within a page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    options: dict[Any, Any] = {
        "svg.hashsalt": f"bedside-{name}",
        "svg.fonttype": "none",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
    }
    with rc_context(options):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), name, description)


def _inline(text: str, name: str, description: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    for _ in ("width", "height"):
        text = re.sub(r"(<svg[^>]*?) (?:width|height)=\"[^\"]*pt\"", r"\1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1).strip()
