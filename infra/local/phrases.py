"""Numbers and times as a person reads them."""

from __future__ import annotations

from datetime import datetime

__all__ = ["amount", "horizon", "interval", "lower_first", "moment", "percent", "points", "sentence", "words", "years"]

DAYS_PER_YEAR = 365


def percent(value: float) -> str:
    """Return a percentage as a person reads it: whole, but never 0 or 100."""
    if value < 1:
        return "under 1%"
    if value > 99:
        return "over 99%"
    return f"{value:.0f}%"


def horizon(days: float) -> str:
    """Return a horizon in words: ``30 days``, ``6 months``, ``1 year``."""
    whole, rest = divmod(days, DAYS_PER_YEAR)
    if whole and not rest:
        return "1 year" if whole == 1 else f"{whole:g} years"
    return "6 months" if days == 180 else f"{days:g} days"


def interval(bounds: tuple[float, float]) -> str:
    """Return an interval in percent as a person reads it."""
    low, high = (percent(bound) for bound in bounds)
    return low if low == high else f"{low} to {high}"


def words(value: float) -> str:
    """Return a probability in percent as a natural frequency."""
    if value < 1:
        return "fewer than 1 of 100 such patients"
    if value > 99:
        return "more than 99 of 100 such patients"
    return f"about {value:.0f} of 100 such patients"


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def lower_first(text: str) -> str:
    """Return a text as it stands inside a sentence."""
    return text[:1].lower() + text[1:]


def years(days: float) -> str:
    """Return a length of time in words, in years from two years on."""
    return f"{days / 365.25:.1f} years" if days >= 730 else f"{days:.0f} days"


def moment(text: str) -> str:
    """Return an ISO 8601 time as a person reads it; unchanged when it is not one."""
    try:
        return datetime.fromisoformat(text).strftime("%d %B %Y, %H:%M")
    except ValueError:
        return text


def amount(value: float) -> str:
    """Return a measured quantity: whole from 100 on, in three digits below."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def points(value: float) -> str:
    """Return an operating point in percent, in as many digits as it has, four at most."""
    return f"{value:.4g}%"
