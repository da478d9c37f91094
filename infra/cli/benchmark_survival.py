"""`bedside benchmark-survival`: rerun the survival models and the published tables beside them."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from functions.survival.benchmark.table import render
from infra.cli.saying import not_installed, say
from infra.cli.train import need_libraries

OUT = Path("build") / "survival.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="one table or package; more than once for several"
    )
    parser.add_argument("--quick", action="store_true", help="a minute instead of the whole; shows that it runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (every core)")
    parser.add_argument(
        "--out",
        type=Path,
        default=OUT,
        metavar="FILE",
        help=f"the JSON ({OUT}); the table and the figure go beside it, as .md, .svg and .png",
    )
    parser.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    parser.add_argument("--table", type=Path, metavar="FILE", help="run nothing: print the table of an earlier JSON")


def run(args: argparse.Namespace) -> int:
    """Run it, or print an earlier run's table; progress goes to standard error.

    Returns
    -------
    int
        0 when it was run, 1 when it could not be or a rebuilt package differs from what ships, 2 when there is
        nothing of a name.
    """
    if args.table is not None:
        return _print_table(args.table)
    try:
        need_libraries()
        from functions.survival.benchmark import run as benchmark
    except ImportError as missing:
        return not_installed(missing)
    unknown = sorted(set(args.only) - set(benchmark.names()))
    if unknown:
        say(f"no table or package {', '.join(unknown)}; there are: {', '.join(benchmark.names())}")
        return 2
    found = benchmark.run(args.only, quick=args.quick, jobs=max(1, args.jobs), progress=say)
    text = render(found)
    _write(found, text, args.out)
    print(json.dumps(found, indent=1) if args.json else text)
    differing = [name for name, package in found["packages"].items() if package["same"] is False]
    if differing:
        say(f"rebuilt, but not the file that ships: {', '.join(differing)}")
    return 1 if differing else 0


def _print_table(path: Path) -> int:
    try:
        print(render(json.loads(path.read_text(encoding="utf-8"))), end="")
    except (OSError, ValueError, KeyError) as broken:
        say(f"cannot read {path} as the JSON of `bedside benchmark-survival`: {type(broken).__name__}: {broken}")
        return 1
    return 0


def _write(found: dict[str, Any], text: str, out: Path) -> None:
    from functions.survival.benchmark.figure import draw

    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    written = [out, out.with_suffix(".md")]
    if found["tables"]:
        for suffix in (".svg", ".png"):
            draw(found, out.with_suffix(suffix))
            written.append(out.with_suffix(suffix))
    say(f"wrote {', '.join(str(path) for path in written)}")
