"""`bedside plan`: plan the hospital's next weeks from an instance of IHTC-2024, or say what a plan costs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from functions.allocation.planner.errors import PlannerError
from functions.allocation.planner.evaluate import Evaluation, evaluate
from functions.allocation.planner.instance import Instance, read_instance
from functions.allocation.planner.solution import Plan, read_plan, write_plan
from infra.cli.saying import say

DESCRIPTION = """\
Plan admissions, rooms, theatres and nurses over the next weeks: the Integrated Healthcare Timetabling Problem of the
competition IHTC-2024. The search gets better as long as it may; Ctrl-C ends it with the best plan so far.
"""
EPILOG = """\
examples:
  bedside plan i01.json --time 60 --out plan.json            a plan in the competition's format
  bedside plan i01.json --from plan.json --out better.json   go on from a plan, staying near it
  bedside plan --evaluate i01.json plan.json                 every cost and every violation of a plan

exit status: 0 for a plan without violations, 1 for one with some or none at all, 2 for wrong arguments or files
"""
# Seconds between two lines of progress where nobody sees the line change.
EVERY = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("instance", type=Path, metavar="INSTANCE", help="JSON of IHTC-2024")
    parser.add_argument("solution", type=Path, nargs="?", metavar="SOLUTION", help="with --evaluate: a plan")
    parser.add_argument("--evaluate", action="store_true", help="search for nothing: say what SOLUTION costs")
    parser.add_argument("--time", type=_positive, default=60.0, metavar="SECONDS", help="to search (%(default)g)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the plan there, in the competition's format")
    parser.add_argument("--from", type=Path, dest="start", metavar="FILE", help="the plan to go on from")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random numbers (%(default)s)")
    parser.add_argument("--threads", type=int, choices=range(1, 5), default=2, help="1 to 4 (%(default)s)")
    parser.add_argument(
        "--moves", type=int, metavar="N", help="moves of each thread, instead of a time: makes a run repeatable"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the plan; with --from, before and after")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    """Do it; progress goes to standard error.

    Returns
    -------
    int
        0 for a plan without violations, 1 for one with some, 2 for wrong arguments or files.
    """
    if args.evaluate != (args.solution is not None):
        say("--evaluate needs INSTANCE and SOLUTION; a search takes an INSTANCE only")
        return 2
    try:
        instance = read_instance(args.instance)
        start = read_plan(args.start, instance) if args.start is not None else None
        if args.evaluate:
            plan = read_plan(args.solution, instance)
            return _show(args, instance, plan, evaluate(instance, plan), {})
    except (PlannerError, OSError) as refused:
        say(f"cannot read: {refused}")
        return 2
    try:
        return _search(args, instance, start)
    except PlannerError as refused:
        say(f"no plan: {refused}")
        return 1


def _search(args: argparse.Namespace, instance: Instance, start: Plan | None) -> int:
    from functions.allocation.planner.kernel.compiled import COMPILED
    from functions.allocation.planner.plan import make_plan

    if not COMPILED:
        say("numba is not installed (pip install numba): the search runs in Python, some hundred times slower")
    watcher = _Watcher(args.seed)
    made = make_plan(
        instance,
        seconds=args.time,
        moves=args.moves,
        threads=args.threads,
        seed=args.seed,
        start=start,
        progress=watcher,
        say=watcher.say,
    )
    watcher.end()
    if args.out is not None:
        write_plan(made.outcome.plan, instance, args.out)
        say(f"wrote {args.out}")
    more: dict[str, Any] = {
        "bound": made.bound,
        "gap_to_bound": made.gap,
        "seed": args.seed,
        "threads": args.threads,
        "seconds": round(made.outcome.seconds, 2),
        "moves": made.outcome.moves,
        "curve": made.outcome.curve,
    }
    return _show(args, instance, made.outcome.plan, made.outcome.evaluation, more, start)


class _Watcher:
    """Shows the search: one line that changes on a terminal, else a line every few seconds."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.lively = sys.stderr.isatty()
        self.last = 0.0
        self.shown = False

    def say(self, line: str) -> None:
        self.end()
        say(line)

    def __call__(self, seconds: float, cost: int, gap: float | None, moves: int) -> None:
        now = time.monotonic()
        if not self.lively and now - self.last < EVERY:
            return
        self.last = now
        known = "" if gap is None else f"   at most {gap:.1%} above the best possible"
        line = f"{seconds:6.1f} s   cost {cost}{known}   {moves / 1e6:.1f} million moves"
        if self.lively:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            self.shown = True
        else:
            say(line)

    def end(self) -> None:
        if self.shown:
            print(file=sys.stderr)
            self.shown = False


def _show(
    args: argparse.Namespace,
    instance: Instance,
    plan: Plan,
    found: Evaluation,
    more: dict[str, Any],
    before: Plan | None = None,
) -> int:
    if args.svg is not None:
        from functions.allocation.planner.picture import draw

        args.svg.write_text(draw(instance, plan, before), encoding="utf-8")
        say(f"wrote {args.svg}")
    if args.json:
        print(json.dumps(as_json(instance, found) | more, indent=1))
    else:
        print("\n".join(lines(found)))
    return 1 if found.total_violations else 0


def lines(found: Evaluation) -> list[str]:
    """Return an evaluation for people; the totals come last."""
    out = ["violations"]
    out += [f"  {name:<30}{count:>8}" for name, count in found.violations.items()]
    out.append("costs")
    for name, cost in found.costs.items():
        out.append(f"  {name:<30}{cost:>8}   ({found.weights[name]} x {found.counts[name]})")
    return [*out, f"Total violations = {found.total_violations}", f"Total cost = {found.total_cost}"]


def as_json(instance: Instance, found: Evaluation) -> dict[str, Any]:
    """Return an evaluation for programs."""
    return {
        "instance": instance.name,
        "violations": found.violations,
        "costs": found.costs,
        "counts": found.counts,
        "weights": found.weights,
        "total_violations": found.total_violations,
        "total_cost": found.total_cost,
    }


def _positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("a positive number of seconds is needed")
    return seconds
