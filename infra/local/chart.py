"""Survival curves and risk bars as SVG: plain text, no script, styled by the page's own style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 18, 54
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Curve:
    """A survival curve at equally spaced times from 0.

    Parameters
    ----------
    step_days : float
        Days between two points, positive.
    percent : tuple of float, shape (n,)
        Survival in percent, 0 to 100.
    """

    step_days: float
    percent: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.step_days > 0:
            raise ValueError("step must be positive")
        if not self.percent:
            raise ValueError("a curve needs points")
        if not all(0 <= value <= 100 for value in self.percent):
            raise ValueError("survival lies between 0 and 100 percent")

    @property
    def days(self) -> float:
        """Time of the last point in days."""
        return self.step_days * (len(self.percent) - 1)

    def at(self, day: float) -> float:
        """Return the survival in percent at a day; the curve is a step function."""
        return self.percent[min(int(day / self.step_days), len(self.percent) - 1)]


def mean_curve(curves: Sequence[Curve]) -> Curve | None:
    """Return the pointwise mean of curves on the grid of the first, as far as all of them reach.

    Returns
    -------
    Curve or None
        None when there are no curves.
    """
    if not curves:
        return None
    step = curves[0].step_days
    points = int(min(curve.days for curve in curves) / step) + 1
    means = tuple(sum(curve.at(index * step) for curve in curves) / len(curves) for index in range(points))
    return Curve(step, means)


def survival_svg(
    curve: Curve,
    *,
    title: str,
    description: str,
    reference: Curve | None = None,
    marks: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Draw a survival curve.

    Parameters
    ----------
    curve : Curve
        The patient's.
    title, description : str
        What a screen reader says; escaped here.
    reference : Curve, optional
        Drawn dashed, behind; :func:`swatch_svg` draws the legend's lines.
    marks : sequence of (float, float)
        Days and percent of the dots: the horizons.

    Returns
    -------
    Markup
        An ``svg`` element, safe to put into a page.
    """
    frame = _Frame(max(curve.days, curve.step_days))
    parts = [
        Markup(
            '<svg class="curve" viewBox="0 0 {} {}" role="img" aria-labelledby="curve-title curve-desc">'
            '<title id="curve-title">{}</title><desc id="curve-desc">{}</desc>'
        ).format(WIDTH, HEIGHT, title, description),
        *_axes(frame),
    ]
    if reference is not None:
        parts.append(Markup('<path class="reference" d="{}"/>').format(frame.path(reference)))
    parts.append(Markup('<path class="patient" d="{}"/>').format(frame.path(curve)))
    for day, percent in marks:
        if day <= frame.days:
            x, y = frame.x(day), frame.y(percent)
            parts.append(Markup('<circle class="mark" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x, y))
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def bar_svg(percent: float) -> Markup:
    """Draw a probability as a bar; it says nothing to screen readers, since the number stands beside it."""
    width = min(max(percent, 0.0), 100.0)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="8"/><rect class="fill" width="{:.1f}" height="8"/></svg>'
    ).format(width)


def swatch_svg(kind: str) -> Markup:
    """Draw a short line as in the chart, for its legend: ``patient`` or ``reference``."""
    return Markup(
        '<svg class="curve swatch" viewBox="0 0 30 8" aria-hidden="true" focusable="false">'
        '<path class="{}" d="M0 4h30"/></svg>'
    ).format(kind)


@dataclass(frozen=True)
class _Frame:
    """Where days and percent lie on the drawing."""

    days: float

    def x(self, day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * day / self.days

    def y(self, percent: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / 100)

    def path(self, curve: Curve) -> str:
        """A step function: level until the next point, then down."""
        pieces = [f"M{self.x(0):.1f} {self.y(curve.percent[0]):.1f}"]
        level = curve.percent[0]
        for index, value in enumerate(curve.percent[1:], start=1):
            day = index * curve.step_days
            if day > self.days:
                break
            if value != level:
                pieces.append(f"H{self.x(day):.1f}V{self.y(value):.1f}")
                level = value
        pieces.append(f"H{self.x(min(curve.days, self.days)):.1f}")
        return "".join(pieces)


def _axes(frame: _Frame) -> list[Markup]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for percent in (0, 25, 50, 75, 100):
        y = frame.y(percent)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, right))
        tick = Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}%</text>')
        parts.append(tick.format(LEFT - 8, y + 4, percent))
    for day, label in _ticks(frame.days):
        x = frame.x(day)
        parts.append(Markup('<path class="grid" d="M{:.1f} {}V{}"/>').format(x, TOP, bottom))
        parts.append(
            Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, bottom + 20, label)
        )
    parts.append(Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(LEFT, TOP, bottom, right))
    middle = (LEFT + right) / 2
    unit = "Years since admission" if frame.days > 2 * DAYS_PER_YEAR else "Days since admission"
    parts.append(
        Markup('<text class="name" x="{:.0f}" y="{}" text-anchor="middle">{}</text>').format(middle, HEIGHT - 10, unit)
    )
    return parts


def _ticks(days: float) -> list[tuple[float, str]]:
    if days > 2 * DAYS_PER_YEAR:
        return [(year * DAYS_PER_YEAR, str(year)) for year in range(int(days / DAYS_PER_YEAR) + 1)]
    step = next(step for step in (7, 30, 60, 90, 180) if days / step <= 9)
    return [(day, str(day)) for day in range(0, int(days) + 1, step)]
