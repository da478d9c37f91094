"""Locations as wards and rooms (FHIR R4 location.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_adapter.codes import Json
from functions.allocation.fromfhir.elements import codes_of, codings, items, part, reference, told
from functions.allocation.fromfhir.findings import Findings
from functions.allocation.fromfhir.rules import ROOM_FEATURE, HouseRules
from functions.allocation.ward.objects import Room, Sex, Ward

__all__ = ["Places", "places"]

WARD, ROOM, BED = "wa", "ro", "bd"
# http://terminology.hl7.org/CodeSystem/v2-0116: closed, contaminated. A bed in housekeeping is one again soon.
OUT_OF_USE = frozenset({"C", "K"})
SEXES: dict[str, Sex] = {"women": "female", "men": "male"}


@dataclass(frozen=True)
class Places:
    """Wards and rooms, and which room each bed is in.

    Parameters
    ----------
    wards, rooms : tuple
    room_of : mapping of str to str
        Room by ``Location/id`` of a room or bed.
    ward_of : mapping of str to str
        Ward by ``Location/id`` of a ward, room or bed.
    """

    wards: tuple[Ward, ...]
    rooms: tuple[Room, ...]
    room_of: Mapping[str, str] = field(repr=False)
    ward_of: Mapping[str, str] = field(repr=False)


def places(locations: Iterable[Json], rules: HouseRules, findings: Findings) -> Places:
    """Return the wards and rooms of a house, in the order of their names."""
    known, beds = _distinct(locations, findings)
    parents = {name: _parent(found, name, known, findings) for name, found in known.items()}
    lost = _cycles(parents, findings)
    kinds = {name: _kind(found) for name, found in known.items()}
    ward_of = {name: ward for name in known if name not in lost and (ward := _above(name, WARD, parents, kinds))}
    room_of = {
        name: room
        for name in known
        if kinds[name] in (ROOM, BED) and name in ward_of and (room := _above(name, ROOM, parents, kinds))
    }
    for name, kind in kinds.items():
        homeless = kind == BED and name in ward_of and name not in room_of
        if name not in lost and ((kind in (ROOM, BED) and name not in ward_of) or homeless):
            findings.add("location-without-ward", name, "it is part of no ward" if not homeless else "in no room")
    inside: dict[str, list[Json]] = {}
    for name in beds:
        if kinds[name] == BED and name in room_of:
            inside.setdefault(room_of[name], []).append(known[name])
    wards = [_ward(known[name], name, rules) for name in known if kinds[name] == WARD and name not in lost]
    rooms = [
        _room(known[name], name, ward_of[name], inside.get(name, []), findings)
        for name in known
        if kinds[name] == ROOM and name in room_of
    ]
    return Places(
        tuple(sorted(wards, key=lambda ward: (ward.name, ward.id))),
        tuple(sorted(rooms, key=lambda room: (room.ward, room.name, room.id))),
        room_of,
        ward_of,
    )


def _distinct(locations: Iterable[Json], findings: Findings) -> tuple[dict[str, Json], list[str]]:
    """Locations by name, and the beds that count: one bed is one, by id and by identifier."""
    known: dict[str, Json] = {}
    beds: list[str] = []
    by_identifier: dict[tuple[Any, Any], str] = {}
    for found in locations:
        name = told(found)
        if found.get("status") == "inactive":
            continue
        if name in known:
            if _kind(found) == BED and reference(found, "partOf") != reference(known[name], "partOf"):
                findings.add("bed-in-two-rooms", name, f"also in {reference(found, 'partOf')}; counted once")
            continue
        known[name] = found
        if _kind(found) != BED:
            continue
        same = [
            by_identifier.setdefault((item.get("system"), item["value"]), name)
            for item in items(found, "identifier")
            if item.get("value")
        ]
        first = next((other for other in same if other != name), None)
        if first is None:
            beds.append(name)
        elif reference(found, "partOf") != reference(known[first], "partOf"):
            findings.add("bed-in-two-rooms", name, f"is {first}, by its identifier, in another room; counted there")
    return known, beds


def _kind(location: Json) -> str:
    found = codes_of(location, "physicalType")
    return next((kind for kind in (WARD, ROOM, BED) if kind in found), "")


def _parent(location: Json, name: str, known: Mapping[str, Json], findings: Findings) -> str | None:
    above = reference(location, "partOf")
    if above is not None and above not in known:
        findings.add("unknown-part-of", name, f"part of {above}, which is not there")
        return None
    return above


def _cycles(parents: Mapping[str, str | None], findings: Findings) -> set[str]:
    """Whoever is in a cycle of partOf, or below one."""
    lost: set[str] = set()
    for name in parents:
        trail: list[str] = []
        here: str | None = name
        while here is not None and here not in trail and here not in lost:
            trail.append(here)
            here = parents.get(here)
        if here is None:
            continue
        if here in trail:
            for member in trail[trail.index(here) :]:
                findings.add("location-cycle", member, "partOf leads back to itself")
        lost.update(trail)
    return lost


def _above(name: str, kind: str, parents: Mapping[str, str | None], kinds: Mapping[str, str]) -> str | None:
    here: str | None = name
    while here is not None and kinds.get(here) != kind:
        here = parents.get(here)
    return here


def _types(location: Json) -> tuple[set[str], set[str]]:
    """Features of ours, and codes of any other system: specialties."""
    features = {code for system, code in codings(location, "type") if system == ROOM_FEATURE}
    return features, {code for system, code in codings(location, "type") if system != ROOM_FEATURE}


def _ward(location: Json, name: str, rules: HouseRules) -> Ward:
    features, codes = _types(location)
    own = frozenset(rules.specialties.get(code, code) for code in codes)
    also = frozenset(rules.also.get(name, ())) - own
    return Ward(name, _name(location), own, also, "mixed" in features, (), rules.nursed(name))


def _room(location: Json, name: str, ward: str, beds: list[Json], findings: Findings) -> Room:
    features, _ = _types(location)
    for bed in beds:
        features |= _types(bed)[0]
    sexes = {SEXES[code] for code in features & set(SEXES)}
    if len(sexes) > 1:
        findings.add("contradictory-rules", name, "set aside for women and for men; neither rule is applied")
    if not beds:
        findings.add("room-without-beds", name, "no bed is part of it; counted as one")
    usable = sum(_usable(bed) for bed in beds) if beds else 1
    return Room(
        name,
        _name(location),
        ward,
        usable if _usable(location) else 0,
        frozenset(features - set(SEXES)),
        next(iter(sexes)) if len(sexes) == 1 else None,
    )


def _usable(location: Json) -> bool:
    return (
        location.get("status", "active") == "active"
        and part(location, "operationalStatus").get("code") not in OUT_OF_USE
    )


def _name(location: Json) -> str:
    return str(location.get("name") or location.get("id"))
