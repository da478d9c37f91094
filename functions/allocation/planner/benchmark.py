"""The planner on the competition's instances: cost, gap to the best known, time to a gap; as JSON and as a table."""

from __future__ import annotations

import csv
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from functions.allocation.planner.begin import compile_kernel
from functions.allocation.planner.instance import read_instance
from functions.allocation.planner.kernel.compiled import COMPILED
from functions.allocation.planner.solution import write_plan
from functions.allocation.planner.solve import solve

__all__ = ["data_folder", "render", "run", "selected"]

# Percent above the best known cost for which it is told when they were reached.
GAPS = (20, 10, 5.7, 5, 2.2, 1)


def data_folder() -> Path:
    """Return the folder of the competition's instances: in ``$BEDSIDE_DATA``, or ``../shared/data``."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get("BEDSIDE_DATA", beside)) / "ihtc2024"


def selected(words: str, known: Sequence[str]) -> list[str]:
    """Return instances by names and ranges.

    Parameters
    ----------
    words : str
        Such as ``i01-i10,i27``.
    known : sequence of str
        In order.

    Raises
    ------
    ValueError
        Names what is not known.
    """
    found: list[str] = []
    for word in re.split(r"[,\s]+", words.strip()):
        first, _, last = word.partition("-")
        for end in (first, last or first):
            if end not in known:
                raise ValueError(f"no instance {end!r}; there are {known[0]} to {known[-1]}")
        found += known[known.index(first) : known.index(last or first) + 1]
    return list(dict.fromkeys(found))


def best_known(folder: Path) -> dict[str, int]:
    """Return the best known cost of each public instance, in order."""
    with (folder / "public" / "upper_bounds.csv").open(encoding="utf-8", newline="") as file:
        return {row["instance"]: int(row["best_known_cost"]) for row in csv.DictReader(file)}


def run(
    names: Sequence[str],
    *,
    seconds: float,
    threads: int,
    seed: int,
    plans: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Plan public instances one after the other.

    Parameters
    ----------
    names : sequence of str
    seconds : float
        For each.
    threads, seed : int
    plans : Path, optional
        Folder that plans are written to in the competition's format.
    progress : callable
        Given a line after each instance.

    Returns
    -------
    dict
        For JSON.
    """
    folder = data_folder()
    known = best_known(folder)
    began = time.perf_counter()
    compile_kernel()
    found: dict[str, Any] = {
        "benchmark": "IHTC-2024, public instances",
        "seconds": seconds,
        "threads": threads,
        "seed": seed,
        "compiled": COMPILED,
        "compile_seconds": round(time.perf_counter() - began, 1),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "instances": {},
    }
    for name in names:
        instance = read_instance(folder / "public" / f"{name}.json")
        cpu = time.process_time()
        outcome = solve(instance, seconds=seconds, threads=threads, seed=seed)
        if plans is not None:
            plans.mkdir(parents=True, exist_ok=True)
            write_plan(outcome.plan, instance, plans / f"sol_{name}.json")
        cost, best = outcome.evaluation.total_cost, known[name]
        row = {
            "violations": outcome.evaluation.total_violations,
            "cost": cost,
            "best_known": best,
            "gap_percent": round(100 * (cost / best - 1), 2),
            "costs": outcome.evaluation.costs,
            "seconds_to_gap": {f"{gap}%": _reached(outcome.curve, best * (1 + gap / 100)) for gap in GAPS},
            "moves": outcome.moves,
            "seconds": round(outcome.seconds, 1),
            # On a machine that is shared, less than threads * seconds.
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "curve": _thinned(outcome.curve),
        }
        found["instances"][name] = row
        progress(f"{name}: cost {cost}, {row['gap_percent']:.2f}% above {best}, {row['violations']} violations")
    rows = list(found["instances"].values())
    found["mean_gap_percent"] = round(sum(row["gap_percent"] for row in rows) / len(rows), 2) if rows else None
    found["all_feasible"] = all(row["violations"] == 0 for row in rows)
    return found


def _reached(curve: Sequence[tuple[float, int]], cost: float) -> float | None:
    return next((second for second, reached in curve if reached <= cost), None)


def _thinned(curve: Sequence[tuple[float, int]], most: int = 60) -> list[tuple[float, int]]:
    step = max(1, len(curve) // most)
    return [*curve[:-1:step], *curve[-1:]]


def render(found: dict[str, Any]) -> str:
    """Return a benchmark as a Markdown table."""
    rows = found["instances"].items()
    lines = [
        f"IHTC-2024, public instances: {found['seconds']:g} s each on {found['threads']} threads, seed "
        f"{found['seed']}; the gap is to the best cost known on the competition's site.",
        "",
        "| instance | violations | cost | best known | gap | seconds to 10% | to 5% | to 2.2% | CPU seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows:
        times = [row["seconds_to_gap"][f"{gap}%"] for gap in (10, 5, 2.2)]
        shown = " | ".join("-" if second is None else f"{second:.1f}" for second in times)
        lines.append(
            f"| {name} | {row['violations']} | {row['cost']} | {row['best_known']} | {row['gap_percent']:.2f}% "
            f"| {shown} | {row['cpu_seconds']:.0f} |"
        )
    lines += ["", f"Mean gap {found['mean_gap_percent']}% over {len(found['instances'])} instances.", ""]
    return "\n".join(lines)
