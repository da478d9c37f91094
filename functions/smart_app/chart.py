"""Survival curves and risk bars as SVG: plain text, no script, styled by the page's own style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 18, 54
DAYS_PER_YEAR = 365.25
MOST_TICKS = 8
# Where the axis of an incidence may end, in percent; each has four whole parts.
TOPS = (20, 40, 60, 100)


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

    @property
    def complement(self) -> Curve:
        """The probability of the event, where this is that of being free of it."""
        return Curve(self.step_days, tuple(100.0 - value for value in self.percent))

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
    band: tuple[Curve, Curve] | None = None,
    competing: Curve | None = None,
    since: str = "admission",
    axis: tuple[str, str] | None = None,
    key: str = "curve",
) -> Markup:
    """Draw a survival curve, or the incidence of an event beside that of the one that can come first.

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
    band : (Curve, Curve), optional
        Lower and upper bounds, shaded.
    competing : Curve, optional
        Of the event that can come first. Incidences begin at 0, and the axis ends above the highest.
    since : str
        What time zero is, for the axis.
    axis : (str, str), optional
        What the axis is called in years and in days, where that is not English.
    key : str
        Names this drawing among others on the page.

    Returns
    -------
    Markup
        An ``svg`` element, safe to put into a page.
    """
    highest = max(max(line.percent) for line in (curve, competing, *(band or ()))) if competing else 100.0
    frame = _Frame(max(curve.days, curve.step_days), next(top for top in TOPS if highest <= top))
    parts = [
        Markup(
            '<svg class="curve" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-title {2}-desc">'
            '<title id="{2}-title">{3}</title><desc id="{2}-desc">{4}</desc>'
        ).format(WIDTH, HEIGHT, key, title, description),
        *_axes(frame, axis or (f"Years since {since}", f"Days since {since}")),
    ]
    if band is not None:
        parts.append(Markup('<path class="band" d="{}"/>').format(frame.area(*band)))
    if competing is not None:
        parts.append(Markup('<path class="competing" d="{}"/>').format(frame.path(competing)))
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


def effect_svg(effect: float, largest: float) -> Markup:
    """Draw an effect as a bar to the right of the middle where it raises, to the left where it lowers."""
    width = 50.0 * min(abs(effect) / largest, 1.0) if largest > 0 else 0.0
    return Markup(
        '<svg class="bar effect" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100" height="8"/><rect class="{}" x="{:.1f}" width="{:.1f}" height="8"/>'
        '<path class="middle" d="M50 0V8"/></svg>'
    ).format("raises" if effect > 0 else "lowers", 50.0 if effect > 0 else 50.0 - width, width)


def swatch_svg(kind: str) -> Markup:
    """Draw a short line as in the chart, for its legend: ``patient``, ``reference``, ``competing`` or ``band``."""
    if kind == "band":
        return Markup(
            '<svg class="curve swatch" viewBox="0 0 30 8" aria-hidden="true" focusable="false">'
            '<path class="band" d="M0 0h30v8H0z"/></svg>'
        )
    return Markup(
        '<svg class="curve swatch" viewBox="0 0 30 8" aria-hidden="true" focusable="false">'
        '<path class="{}" d="M0 4h30"/></svg>'
    ).format(kind)


@dataclass(frozen=True)
class _Frame:
    """Where days and percent lie on the drawing."""

    days: float
    top: float = 100.0

    def x(self, day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * day / self.days

    def y(self, percent: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / self.top)

    def path(self, curve: Curve) -> str:
        """A step function: level until the next point, then down."""
        first, *corners, last = self._corners(curve)
        pieces = [f"M{first[0]:.1f} {first[1]:.1f}", *(f"H{x:.1f}V{y:.1f}" for x, y in corners), f"H{last[0]:.1f}"]
        return "".join(pieces)

    def area(self, lower: Curve, upper: Curve) -> str:
        """What lies between two step functions: along the upper one, and back along the lower."""
        top, bottom = self._corners(upper), self._corners(lower)
        pieces = [f"M{top[0][0]:.1f} {top[0][1]:.1f}", *(f"H{x:.1f}V{y:.1f}" for x, y in top[1:])]
        for (_, y), (x, _) in zip(reversed(bottom[:-1]), reversed(bottom[1:]), strict=True):
            pieces.append(f"H{x:.1f}V{y:.1f}")
        return "".join([*pieces, f"H{bottom[0][0]:.1f}Z"])

    def _corners(self, curve: Curve) -> list[tuple[float, float]]:
        """The start, the point after each step, and the end."""
        level = curve.percent[0]
        found = [(self.x(0), self.y(level))]
        for index, value in enumerate(curve.percent[1:], start=1):
            day = index * curve.step_days
            if day > self.days:
                break
            if value != level:
                found.append((self.x(day), self.y(value)))
                level = value
        return [*found, (self.x(min(curve.days, self.days)), self.y(level))]


def _axes(frame: _Frame, axis: tuple[str, str]) -> list[Markup]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for quarter in range(5):
        percent = frame.top * quarter / 4
        y = frame.y(percent)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, right))
        tick = Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{:g}%</text>')
        parts.append(tick.format(LEFT - 8, y + 4, percent))
    for day, label in _ticks(frame.days):
        x = frame.x(day)
        parts.append(Markup('<path class="grid" d="M{:.1f} {}V{}"/>').format(x, TOP, bottom))
        parts.append(
            Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, bottom + 20, label)
        )
    parts.append(Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(LEFT, TOP, bottom, right))
    middle = (LEFT + right) / 2
    unit = axis[0] if frame.days > 2 * DAYS_PER_YEAR else axis[1]
    parts.append(
        Markup('<text class="name" x="{:.0f}" y="{}" text-anchor="middle">{}</text>').format(middle, HEIGHT - 10, unit)
    )
    return parts


def _ticks(days: float) -> list[tuple[float, str]]:
    if days > 2 * DAYS_PER_YEAR:
        years = int(days / DAYS_PER_YEAR)
        step = next(step for step in (1, 2, 5, 10, 20, 50) if years / step <= MOST_TICKS)
        return [(year * DAYS_PER_YEAR, str(year)) for year in range(0, years + 1, step)]
    step = next(step for step in (7, 30, 60, 90, 180) if days / step <= 9)
    return [(day, str(day)) for day in range(0, int(days) + 1, step)]
