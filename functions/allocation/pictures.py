"""A plan as pictures: the map of its wards, and a Gantt chart of its rooms; SVG 1.1 text, for a page or a file.

Both have a form *before* (as patients lie now) and *after* (as proposed). Colour is never the only sign: kind and sex
are told by a letter or a pattern, too. Patients are named by the ids that the EHR gives them, so a picture belongs
where the record does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from functions.allocation.ward.objects import House, Room, Stay
from functions.allocation.ward.plan import Plan, Proposal

__all__ = ["gantt", "ward_map"]

When = Literal["before", "after"]
FILLS = {"stay": "#dfe7ee", "move": "#f6c86a", "place": "#9fd3a8", "unplaced": "#e79a94"}
SIGNS = {"stay": "", "move": "→ ", "place": "+ ", "unplaced": "! "}
WORDS = {"stay": "stays", "move": "moves", "place": "new", "unplaced": "no bed"}
BED_WIDTH, BED_HEIGHT, GAP, HEAD = 84, 22, 8, 26
PER_ROW = 8
HOURS = 72.0


class _Canvas:
    """SVG elements with the size that holds them."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []
        self._width = self._height = 0.0

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, tip: str = "", dashed: bool = False
    ) -> None:
        """Draw a rectangle with a tooltip."""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" rx="3" fill="{fill}" '
            f'stroke="#5a6b7b" stroke-width="0.7"{dash}>{inner}</rect>'
        )
        self._grow(x + width, y + height)

    def text(
        self, x: float, y: float, words: str, *, size: int = 11, weight: str = "normal", anchor: str = "start"
    ) -> None:
        """Write a line."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="#1d2a35">{escape(words)}</text>'
        )
        self._grow(x + (len(words) * size * 0.55 if anchor == "start" else 0), y)

    def line(self, x: float, y1: float, y2: float) -> None:
        """Draw a thin vertical line."""
        self._parts.append(f'<line x1="{x:.1f}" y1="{y1:.1f}" x2="{x:.1f}" y2="{y2:.1f}" stroke="#c8d1d9"/>')

    def _grow(self, right: float, bottom: float) -> None:
        self._width, self._height = max(self._width, right), max(self._height, bottom)

    def svg(self) -> str:
        """Return the document."""
        width, height = self._width + GAP, self._height + GAP
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img" font-family="sans-serif"><title>{escape(self._title)}</title>'
            f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(self._parts)}</svg>\n'
        )


@dataclass(frozen=True)
class _Chip:
    """One patient in a room, as it is drawn."""

    stay: Stay
    kind: str

    @property
    def words(self) -> str:
        sex = {"female": "F", "male": "M"}.get(self.stay.sex or "", "?")
        mark = "*" if self.stay.isolation else ""
        return f"{SIGNS[self.kind]}{self.stay.patient.rpartition('/')[2][:8]} {sex}{mark}"

    @property
    def tip(self) -> str:
        stay = self.stay
        return (
            f"{stay.patient}: {WORDS[self.kind]}; {stay.urgency.name.lower()}, priority {stay.priority}, "
            f"{max(stay.start, 0):.0f} to {stay.end:.0f} h{', isolated' if stay.isolation else ''}"
        )


def ward_map(plan: Plan, when: When = "after") -> str:
    """Return the map of a plan's wards as SVG: every room with its beds and who is in them, and who has none.

    Parameters
    ----------
    when : {"before", "after"}
        As patients lie now, or as proposed; those who come later are in it, with their hours as a tooltip.
    """
    canvas = _Canvas(f"Wards, {'now' if when == 'before' else 'as proposed'}")
    inside, outside = _chips(plan, when)
    top = _legend(canvas, when)
    for ward in plan.house.wards:
        canvas.text(GAP, top + 14, ward.name, size=14, weight="bold")
        top = _rooms(canvas, list(plan.house.rooms_of(ward.id)), inside, top + HEAD)
    if outside:
        title = "Without a bed" if when == "after" else "Waiting and announced"
        canvas.text(GAP, top + 14, title, size=14, weight="bold")
        for number, chip in enumerate(outside):
            row, column = divmod(number, PER_ROW)
            _chip(canvas, GAP + column * (BED_WIDTH + GAP), top + HEAD + row * (BED_HEIGHT + 4), chip)
    return canvas.svg()


def _chips(plan: Plan, when: When) -> tuple[dict[str, list[_Chip]], list[_Chip]]:
    inside: dict[str, list[_Chip]] = {room.id: [] for room in plan.house.rooms}
    outside: list[_Chip] = []
    for proposal in plan:
        room, kind = _where(proposal, when)
        chip = _Chip(proposal.stay, kind)
        if room is None:
            outside.append(chip)
        else:
            inside[room].append(chip)
    for chips in inside.values():
        chips.sort(key=lambda chip: (chip.stay.start, chip.stay.id))
    return inside, outside


def _where(proposal: Proposal, when: When) -> tuple[str | None, str]:
    if when == "after":
        return proposal.room, proposal.kind
    return proposal.stay.room, "stay" if proposal.stay.room else "place"


def _legend(canvas: _Canvas, when: When) -> float:
    canvas.text(GAP, 16, "Now" if when == "before" else "As proposed", size=14, weight="bold")
    for number, kind in enumerate(FILLS):
        x = 130 + number * 96
        canvas.box(x, 5, 14, 14, FILLS[kind])
        canvas.text(x + 20, 16, f"{SIGNS[kind]}{WORDS[kind]}")
    canvas.text(130 + len(FILLS) * 96, 16, "* isolated")
    return float(HEAD)


def _rooms(canvas: _Canvas, rooms: Sequence[Room], inside: dict[str, list[_Chip]], top: float) -> float:
    for start in range(0, len(rooms), PER_ROW):
        row = rooms[start : start + PER_ROW]
        lines = max(max(room.beds, len(inside[room.id])) for room in row)
        height = 18 + lines * (BED_HEIGHT + 3) + 4
        for column, room in enumerate(row):
            x = GAP + column * (BED_WIDTH + 2 * GAP)
            canvas.box(x, top, BED_WIDTH + GAP, height, "#f7f9fb", tip=_told(room))
            canvas.text(x + 4, top + 13, f"{room.name}{' (closed)' if room.beds == 0 else ''}", size=10, weight="bold")
            chips = inside[room.id]
            for number in range(max(room.beds, len(chips))):
                y = top + 18 + number * (BED_HEIGHT + 3)
                if number < len(chips):
                    _chip(canvas, x + 4, y, chips[number])
                else:
                    canvas.box(x + 4, y, BED_WIDTH, BED_HEIGHT, "#ffffff", tip="free", dashed=True)
        top += height + GAP
    return top


def _chip(canvas: _Canvas, x: float, y: float, chip: _Chip) -> None:
    canvas.box(x, y, BED_WIDTH, BED_HEIGHT, FILLS[chip.kind], tip=chip.tip)
    canvas.text(x + 4, y + 15, chip.words, size=10)


def _told(room: Room) -> str:
    features = ", ".join(sorted(room.features)) or "no features"
    return f"{room.name}: {room.beds} beds, {features}{f', for {room.sex} patients' if room.sex else ''}"


def gantt(plan: Plan, when: When = "after", hours: float = HOURS) -> str:
    """Return a Gantt chart of a plan's rooms as SVG: a line for each bed, hours from now to the right.

    Parameters
    ----------
    hours : float
        How far.
    """
    canvas = _Canvas(f"Rooms over {hours:.0f} hours, {'now' if when == 'before' else 'as proposed'}")
    left, scale = 150.0, 9.0
    inside, outside = _chips(plan, when)
    top = _legend(canvas, when) + 18

    def bar(y: float, chip: _Chip) -> None:
        start, end = max(chip.stay.start, 0.0), min(chip.stay.end, hours)
        if start >= hours:
            return
        canvas.box(left + start * scale, y, (end - start) * scale, 13, FILLS[chip.kind], tip=chip.tip)
        if (end - start) * scale > 60:
            canvas.text(left + start * scale + 3, y + 10, chip.words, size=9)

    begin = top
    for room in plan.house.rooms:
        top = _room_rows(canvas, room, plan.house, inside[room.id], top, bar)
    if outside:
        canvas.text(GAP, top + 11, "no bed" if when == "after" else "waiting", weight="bold")
        for chip in outside:
            bar(top, chip)
            top += 15
    for hour in range(0, int(hours) + 1, 12):
        canvas.line(left + hour * scale, begin - 4, top)
        canvas.text(left + hour * scale, begin - 8, f"{hour} h", size=10, anchor="middle")
    return canvas.svg()


def _room_rows(
    canvas: _Canvas, room: Room, house: House, chips: Sequence[_Chip], top: float, bar: Callable[[float, _Chip], None]
) -> float:
    """One line for each bed; patients follow one another on the first that is free."""
    canvas.text(GAP, top + 10, f"{room.name}, {house.ward[room.ward].name}", size=10)
    ends = [0.0] * max(room.beds, 1)
    for chip in chips:
        start = max(chip.stay.start, 0.0)
        line = next((number for number, end in enumerate(ends) if end <= start), len(ends))
        if line == len(ends):
            ends.append(0.0)
        ends[line] = chip.stay.end
        bar(top + line * 15, chip)
    return top + len(ends) * 15 + 3
