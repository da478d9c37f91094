"""`bedside benchmark-plan`: plan the competition's public instances and compare with the best known costs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from functions.allocation.planner.errors import PlannerError
from infra.cli.plan import _positive
from infra.cli.saying import say

OUT = Path("build") / "ihtc.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument(
        "--time", type=_positive, default=60.0, metavar="SECONDS", help="for each instance (%(default)g; in full: 600)"
    )
    parser.add_argument(
        "--instances", default="i01-i10", metavar="NAMES", help="such as i01-i10,i27 (%(default)s; in full: i01-i30)"
    )
    parser.add_argument("--threads", type=int, choices=range(1, 5), default=2, help="1 to 4 (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random numbers (%(default)s)")
    parser.add_argument("--plans", type=Path, metavar="DIR", help="write the plans there")
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="FILE", help="the JSON (%(default)s); the table goes beside it as .md"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    """Run it; progress goes to standard error.

    Returns
    -------
    int
        0 when every plan is without violations, 1 when one is not or the instances are not here, 2 when there is no
        instance of a name.
    """
    from functions.allocation.planner import benchmark

    folder = benchmark.data_folder()
    try:
        known = benchmark.best_known(folder)
    except OSError as missing:
        say(f"the instances of IHTC-2024 are not here ({missing}); $BEDSIDE_DATA names the folder that holds ihtc2024")
        return 1
    try:
        names = benchmark.selected(args.instances, list(known))
    except ValueError as unknown:
        say(str(unknown))
        return 2
    try:
        found = benchmark.run(
            names, seconds=args.time, threads=args.threads, seed=args.seed, plans=args.plans, progress=say
        )
    except (PlannerError, OSError) as refused:
        say(f"the benchmark ended: {refused}")
        return 1
    text = benchmark.render(found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    args.out.with_suffix(".md").write_text(text, encoding="utf-8")
    say(f"wrote {args.out} and {args.out.with_suffix('.md')}")
    print(json.dumps(found, indent=1) if args.json else text)
    return 0 if found["all_feasible"] else 1
