"""A plan as SVG: who lies in which room when, and each theatre's list, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from functions.allocation.planner.instance import Instance, Person
from functions.allocation.planner.solution import Plan

__all__ = ["draw"]

LEFT, TOP, DAY_WIDTH, LANE, GAP = 90, 64, 46, 15, 5
THEATRE_HEIGHT = 30
# Two hues that people who see no red or no green tell apart; the older, the darker.
HUES = {"A": ("#f6d3b3", "#e89c5d", "#b8651f"), "B": ("#c3d9ef", "#79a9d8", "#3a6ea5")}
SURGEONS = (
    "#4e79a7",
    "#f28e2b",
    "#59a14f",
    "#b07aa1",
    "#76b7b2",
    "#9c755f",
    "#edc948",
    "#e15759",
    "#bab0ac",
    "#2f4b7c",
)
INK, FAINT, CHANGED = "#222", "#ddd", "#c1121f"


@dataclass(frozen=True)
class _Bar:
    """A person in a bed."""

    person: Person
    start: int
    end: int
    room: int
    occupant: bool
    changed: bool


def draw(instance: Instance, plan: Plan, before: Plan | None = None, title: str = "") -> str:
    """Return a plan as a picture.

    Parameters
    ----------
    instance : Instance
    plan : Plan
    before : Plan, optional
        Drawn above it; patients whose day, room or theatre differ have a red frame in both.
    title : str
        Instead of the instance's name.

    Returns
    -------
    str
        SVG, without script or outer reference. Patients are named by their identifiers in the instance.
    """
    parts: list[str] = []
    height = 0.0
    pairs = [(plan, before, "" if before is None else "after")]
    if before is not None:
        pairs.insert(0, (before, plan, "before"))
    for shown, other, word in pairs:
        heading = " · ".join(part for part in (title or instance.name, word) if part)
        panel, size = _panel(instance, shown, other, heading)
        parts.append(f'<g transform="translate(0 {height:.0f})">{panel}</g>')
        height += size
    width = LEFT + instance.days * DAY_WIDTH + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}" font-family="system-ui, sans-serif" font-size="11" role="img">'
        f"<title>{escape(title or instance.name)}</title>"
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _panel(instance: Instance, plan: Plan, other: Plan | None, heading: str) -> tuple[str, float]:
    out = [_text(12, 22, heading, size=15), _legend(instance)]
    y = float(TOP)
    for day in range(instance.days):
        out.append(_text(LEFT + (day + 0.5) * DAY_WIDTH, y - 6, f"day {day}", anchor="middle"))
    bars = _bars(instance, plan, other)
    for room, name in enumerate(instance.rooms):
        lanes = _lanes([bar for bar in bars if bar.room == room])
        size = max(instance.capacity[room], len(lanes)) * LANE
        out.append(_row(instance, y, size, f"{name} ({instance.capacity[room]})"))
        for at, lane in enumerate(lanes):
            out += [_bar(instance, bar, y + at * LANE) for bar in lane]
        y += size + GAP
    y += 18
    out.append(_text(12, y - 4, "theatres, minutes used of those open"))
    for theatre, name in enumerate(instance.theatres):
        out.append(_row(instance, y, THEATRE_HEIGHT, name))
        for day in range(instance.days):
            out.append(_list(instance, plan, theatre, day, y))
        y += THEATRE_HEIGHT + GAP
    return "".join(out), y + 16


def _bars(instance: Instance, plan: Plan, other: Plan | None) -> list[_Bar]:
    bars = [_Bar(person, 0, min(person.stay, instance.days), person.room, True, False) for person in instance.occupants]
    for at, (patient, admission) in enumerate(zip(instance.patients, plan.admissions, strict=True)):
        if admission is not None:
            end = min(admission.day + patient.stay, instance.days)
            changed = other is not None and other.admissions[at] != admission
            bars.append(_Bar(patient, admission.day, end, admission.room, False, changed))
    return sorted(bars, key=lambda bar: (bar.start, -bar.end))


def _lanes(bars: list[_Bar]) -> list[list[_Bar]]:
    """Give every bar a bed: the first that is free."""
    lanes: list[list[_Bar]] = []
    for bar in bars:
        for lane in lanes:
            if lane[-1].end <= bar.start:
                lane.append(bar)
                break
        else:
            lanes.append([bar])
    return lanes


def _row(instance: Instance, y: float, height: float, name: str) -> str:
    lines = "".join(
        f'<path d="M{LEFT + day * DAY_WIDTH} {y:.0f}v{height:.0f}" stroke="{FAINT}"/>'
        for day in range(instance.days + 1)
    )
    frame = (
        f'<rect x="{LEFT}" y="{y:.0f}" width="{instance.days * DAY_WIDTH}" height="{height:.0f}" fill="none" '
        f'stroke="#999"/>'
    )
    return _text(LEFT - 8, y + height / 2 + 4, name, anchor="end") + lines + frame


def _bar(instance: Instance, bar: _Bar, y: float) -> str:
    hues = HUES[bar.person.gender]
    shade = bar.person.age_group * len(hues) // len(instance.age_groups)
    x, width = LEFT + bar.start * DAY_WIDTH + 1, (bar.end - bar.start) * DAY_WIDTH - 2
    stroke = f'stroke="{CHANGED}" stroke-width="1.6"' if bar.changed else 'stroke="#666" stroke-width="0.5"'
    dashes = ' stroke-dasharray="3 2"' if bar.occupant else ""
    group = instance.age_groups[bar.person.age_group]
    said = f"{bar.person.identifier}: gender {bar.person.gender}, {group}, days {bar.start} to {bar.end - 1}"
    ink = "#fff" if shade == len(hues) - 1 else INK
    return (
        f'<g><title>{escape(said)}</title><rect x="{x}" y="{y + 1:.0f}" width="{width}" height="{LANE - 2}" rx="2" '
        f'fill="{hues[shade]}" {stroke}{dashes}/>{_text(x + 4, y + 11, bar.person.identifier, fill=ink)}</g>'
    )


def _list(instance: Instance, plan: Plan, theatre: int, day: int, y: float) -> str:
    """Draw a theatre's operations of a day, by the share of its minutes."""
    minutes = instance.theatre_minutes[theatre][day]
    x, width = float(LEFT + day * DAY_WIDTH + 1), DAY_WIDTH - 2
    if minutes == 0:
        return f'<rect x="{x}" y="{y + 1:.0f}" width="{width}" height="{THEATRE_HEIGHT - 2}" fill="#f0f0f0"/>'
    out = []
    for patient, admission in zip(instance.patients, plan.admissions, strict=True):
        if admission is None or (admission.theatre, admission.day) != (theatre, day):
            continue
        size = width * patient.duration / minutes
        said = f"{patient.identifier}: {instance.surgeons[patient.surgeon]}, {patient.duration} min"
        out.append(
            f'<g><title>{escape(said)}</title><rect x="{x:.1f}" y="{y + 3:.0f}" width="{size:.1f}" '
            f'height="{THEATRE_HEIGHT - 6}" fill="{SURGEONS[patient.surgeon % len(SURGEONS)]}" stroke="#fff"/></g>'
        )
        x += size
    return "".join(out)


def _legend(instance: Instance) -> str:
    out, x = [], LEFT
    for gender, hues in HUES.items():
        out.append(_text(x, 42, gender))
        x += 14
        for at, group in enumerate(instance.age_groups):
            fill = hues[at * len(hues) // len(instance.age_groups)]
            out.append(f'<rect x="{x}" y="33" width="11" height="11" fill="{fill}"/>')
            out.append(_text(x + 14, 42, group))
            x += 22 + 6 * len(group)
        x += 10
    out.append(_text(x, 42, "dashed: there already; theatres by surgeon"))
    return "".join(out)


def _text(x: float, y: float, words: str, *, size: int = 11, anchor: str = "start", fill: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
    )
