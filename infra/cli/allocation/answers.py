"""What the parts of ``bedside allocation`` do."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from functions.allocation.fromfhir import Reading
from functions.allocation.pictures import gantt, ward_map
from functions.allocation.tofhir import evidence
from functions.allocation.ward import House, Limits, Plan, plan_house, seed_of
from functions.allocation.ward.explain import Change, Explanation, Forced, difference, force, stays_of
from functions.allocation.ward.explain import explain as explained
from functions.allocation.ward.fairness import disparities
from functions.allocation.ward.scenario import close_beds, surge
from functions.allocation.ward.shortage import shortages
from infra.cli.allocation.source import Unreadable, reading

__all__ = ["explain", "plan", "whatif"]

NAMED = 12


def plan(args: argparse.Namespace) -> int:
    """Plan, and tell it."""
    read, found = _planned(args)
    told = _told(found, read)
    if args.against:
        told["changes"] = [_change(change) for change in _since(args.against, found)]
    if args.bundle:
        risks = shortages(found.house, seed=found.seed)
        bundle = evidence(found, read, risks, tenant=args.tenant or "local", organization="not stated")
        args.bundle.write_text(json.dumps(bundle, indent=2) + "\n", encoding="utf-8")
    _pictures(args, found)
    if args.json:
        print(json.dumps(told, indent=2))
        return 0
    _say_plan(found, read)
    for change in told.get("changes", []):
        print(f"  changed: {change['stay']}  {change['before'] or 'no bed'} -> {change['after'] or 'no bed'}")
    return 0


def explain(args: argparse.Namespace) -> int:
    """Say what binds for a patient, and what a wish would take."""
    _, found = _planned(args)
    stays = stays_of(found.house, args.patient)
    if not stays:
        sys.stderr.write(f"bedside allocation: {args.patient} is not in this plan\n")
        return 1
    if args.room and args.room not in found.house.room:
        sys.stderr.write(f"bedside allocation: {args.room} is no room of this plan\n")
        return 2
    reasons = [explained(found, stay.id) for stay in stays]
    wishes = [force(found, stay.id, args.room, limits=_limits(args)) for stay in stays] if args.room else []
    _pictures(args, found)
    if args.json:
        told = {"explanations": [_reasons(item) for item in reasons], "wishes": [_wish(item) for item in wishes]}
        print(json.dumps(told, indent=2))
        return 0
    for item in reasons:
        _say_reasons(item, found.house)
    for wish in wishes:
        _say_wish(wish)
    return 0


def whatif(args: argparse.Namespace) -> int:
    """Plan a house with beds closed or more patients, beside the house as it is."""
    read, before = _planned(args)
    house = before.house
    for wanted in args.close:
        room, _, beds = wanted.partition(":")
        if room not in house.room or (beds and not beds.isdigit()):
            sys.stderr.write(f"bedside allocation: --close {wanted}: no such room, or no number of beds\n")
            return 2
        try:
            house = close_beds(house, room, int(beds) if beds else None)
        except ValueError as error:
            sys.stderr.write(f"bedside allocation: {error}\n")
            return 2
    if args.surge:
        house = surge(house, args.surge, seed=before.seed)
    after = plan_house(house, limits=_limits(args), seed=before.seed)
    _pictures(args, after)
    changes = difference(before, after)
    if args.json:
        told = {
            "as_it_is": _told(before, read),
            "then": _told(after, read),
            "changes": [_change(one) for one in changes],
        }
        print(json.dumps(told, indent=2))
        return 0
    for words, one in (("as it is", before), ("then", after)):
        print(
            f"{words:<10} {one.house.beds} beds, {len(one.unplaced)} without a bed, {len(one.moves)} moves, "
            f"cost {one.cost:.0f}, rules that cannot be kept: {len(one.breaches)}"
        )
    print(f"{len(changes)} placements differ")
    return 0


def _planned(args: argparse.Namespace) -> tuple[Reading, Plan]:
    read = reading(args)
    house = read.house
    if args.ward is not None:
        if args.ward not in house.ward:
            raise Unreadable(f"{args.ward} is no ward; there are {', '.join(sorted(house.ward)) or 'none'}")
        house = house.only(args.ward)
    seed = args.seed if args.seed is not None else seed_of(read.fingerprint)
    return read, plan_house(house, limits=_limits(args), seed=seed)


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(args.time, args.gap, args.threads)


def _pictures(args: argparse.Namespace, found: Plan) -> None:
    if not args.svg:
        return
    base: Path = args.svg
    base.write_text(ward_map(found), encoding="utf-8")
    for name, drawn in (("before", ward_map(found, "before")), ("gantt", gantt(found))):
        base.with_name(f"{base.stem}-{name}{base.suffix}").write_text(drawn, encoding="utf-8")


def _since(path: Path, found: Plan) -> tuple[Change, ...]:
    try:
        earlier = {item["stay"]: item["room"] for item in json.loads(path.read_text(encoding="utf-8"))["placements"]}
    except (json.JSONDecodeError, KeyError, TypeError):
        raise Unreadable(f"{path}: not a plan as `bedside allocation plan --json` writes it") from None
    return tuple(
        Change(stay, earlier[stay], room)
        for stay, room in found.rooms.items()
        if stay in earlier and earlier[stay] != room
    )


# -- as JSON --


def _told(found: Plan, read: Reading) -> dict[str, Any]:
    return {
        "now": read.now.isoformat(),
        "method": found.method,
        "seed": found.seed,
        "seconds": round(found.seconds, 3),
        "gap": found.gap if found.gap != float("inf") else None,
        "levels": [{"name": item.name, "value": item.value, "bound": item.bound} for item in found.levels],
        "placements": [
            {"stay": item.stay.id, "patient": item.stay.patient, "kind": item.kind, "room": item.room} for item in found
        ],
        "broken_rules": [
            {"rule": item.rule.value, "where": item.where, "stay": item.stay, "amount": item.amount}
            for item in found.breaches
        ],
        "no_room_for": {stay: [rule.value for rule in rules] for stay, rules in found.hopeless.items()},
        "findings": [{"code": item.code, "resource": item.resource, "detail": item.detail} for item in read.findings],
        "disparities": [
            {
                "attribute": row.attribute,
                "group": row.group,
                "outcome": row.outcome,
                "count": row.count,
                "total": row.total,
                "interval": row.interval,
                "difference": row.difference,
                "difference_interval": row.difference_interval,
            }
            for row in disparities(found, read.groups)
        ],
    }


def _change(change: Change) -> dict[str, Any]:
    return {"stay": change.stay, "before": change.before, "after": change.after}


def _reasons(item: Explanation) -> dict[str, Any]:
    return {
        "stay": item.stay,
        "room": item.room,
        "choices": [
            {
                "room": choice.room,
                "state": choice.state,
                "rules": [rule.value for rule in choice.rules],
                "cost": choice.cost,
                "by": list(choice.by),
            }
            for choice in item.choices
        ],
    }


def _wish(item: Forced) -> dict[str, Any]:
    return {
        "stay": item.stay,
        "room": item.room,
        "possible": item.possible,
        "rules": [rule.value for rule in item.rules],
        "cost": item.cost,
        "displaced": [_change(change) for change in item.displaced],
        "without_a_bed": list(item.losing),
    }


# -- in words --


def _say_plan(found: Plan, read: Reading) -> None:
    print(
        f"{len(found.rooms)} stays, {len(found.house.rooms)} rooms, {found.house.beds} beds; planned by {found.method} "
        f"in {found.seconds:.2f} s, gap {100 * found.gap:.2f}%, seed {found.seed}"
    )
    for proposal in found:
        if proposal.kind != "stay":
            print(
                f"  {proposal.kind:<9} {proposal.stay.id}  {proposal.stay.room or '-'} -> {proposal.room or 'no bed'}"
            )
    for breach in found.breaches:
        print(f"  cannot keep: {breach.rule} at {breach.where}")
    for stay, rules in found.hopeless.items():
        print(f"  no room for: {stay}: {', '.join(rules)}")
    for finding in read.findings:
        print(f"  record: {finding.resource}: {finding.code}: {finding.detail}")
    for row in disparities(found, read.groups):
        if row.differs and not row.small:
            print(f"  differs: {row.outcome}, {row.attribute} {row.group}: {row.count} of {row.total}")


def _say_reasons(item: Explanation, house: House) -> None:
    print(f"{item.stay}: {item.room or 'no bed'}")
    for choice in item.choices[:NAMED]:
        why = ", ".join(choice.rules)
        by = f" by {', '.join(choice.by)}" if choice.by else ""
        price = "" if choice.cost is None else f"cost {choice.cost}"
        print(f"  {choice.state:<10} {house.room[choice.room].name:<12} {price:<9} {why}{by}")
    if len(item.choices) > NAMED:
        print(f"  ... and {len(item.choices) - NAMED} rooms more (--json names all)")


def _say_wish(wish: Forced) -> None:
    if not wish.possible:
        print(f"{wish.room} cannot be had: {', '.join(wish.rules)}")
        return
    print(f"{wish.room} would cost {wish.cost:+.0f} and change {len(wish.displaced)} other placements")
    for change in wish.displaced:
        print(f"  {change.stay}: {change.before or 'no bed'} -> {change.after or 'no bed'}")
