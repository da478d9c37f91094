"""``bedside data``: the public data sets that models are trained on, and what in them must not be trusted."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import textwrap
from typing import Any

import numpy as np

from functions.survival.data import DATASETS, Dataset, SurvivalTable

DESCRIPTION = """\
List the public data sets that models can be trained on: patients, events, inputs, how much is missing, where the data
come from and under which licence, and what in them would tell the outcome. With NAME, show one data set in full. No
patient's data are shown.
"""
EPILOG = """\
examples:
  bedside data
  bedside data pbc
  bedside data --json | jq '.[] | select(.available) | {name, rows, events}'

The data come with scikit-survival, and with the R package survival: from an installed R, from the path in
BEDSIDE_R_SURVIVAL (a r-cran-survival .deb, or the package's folder), else fetched with apt into
$XDG_CACHE_HOME/bedside. R is not needed.

exit status: 0 shown, 1 NAME cannot be read here, 2 no such data set.
"""
WIDTH = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside data``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of {', '.join(DATASETS)}")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Show them; returns the exit status."""
    if args.name is None:
        found = [_summary(dataset) for dataset in DATASETS.values()]
        print(json.dumps(found, indent=2) if args.json else _listed(found))
        return 0
    if args.name not in DATASETS:
        sys.stderr.write(f"bedside data: no data set {args.name!r}; known: {', '.join(DATASETS)}\n")
        return 2
    told = _summary(DATASETS[args.name], whole=True)
    print(json.dumps(told, indent=2) if args.json else _shown(told))
    return 0 if told["available"] else 1


def _summary(dataset: Dataset, *, whole: bool = False) -> dict[str, Any]:
    """Return what is known of a data set; without its library, all but the numbers."""
    told: dict[str, Any] = {"name": dataset.name, "title": dataset.title, "available": True}
    table = None
    try:
        table = dataset.load()
    except (ImportError, ValueError) as error:
        told |= {"available": False, "needs": _needs(error)}
    if table is not None:
        told |= _counts(table)
    told |= {
        "outcome": dataset.events,
        "competing": dataset.competing,
        "time_zero": dataset.origin,
        "inputs": [column.name for column in dataset.columns],
        "source": dataset.source,
        "licence": dataset.licence,
        "reference": dataset.reference,
        "leaks": list(dataset.leaks),
    }
    if whole:
        told |= {
            "columns": [_column(dataset, at, table) for at in range(len(dataset.columns))],
            "subgroups": {title: int(who.sum()) for title, who in dataset.subgroups(table).items()} if table else {},
            "limits": list(dataset.limits),
            "caveats": list(dataset.caveats),
        }
    return told


def _needs(error: Exception) -> str:
    if isinstance(error, ImportError):
        library = {"sksurv": "scikit-survival"}.get(str(error.name), str(error.name))
        return f"{library} is not installed: `make setup-train` brings it"
    return str(error)


def _counts(table: SurvivalTable) -> dict[str, Any]:
    return {
        "rows": len(table),
        "events": int(table.event.sum()),
        "competing_events": int(table.competing.sum()),
        "missing": round(float(np.isnan(table.x).mean()), 4),
        "longest_days": float(table.time.max()),
        "sha256": _digest(table),
    }


def _digest(table: SurvivalTable) -> str:
    """Return what tells whether two machines hold the same table."""
    parts = ["\n".join(table.names).encode(), table.x.tobytes(), table.event.tobytes(), table.time.tobytes()]
    return hashlib.sha256(b"\0".join([*parts, table.competing.tobytes()])).hexdigest()


def _column(dataset: Dataset, at: int, table: SurvivalTable | None) -> dict[str, Any]:
    column = dataset.columns[at]
    told: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "unit": column.unit,
        "source": column.source,
        "note": column.note,
        "codes": list(column.codes),
    }
    if table is not None:
        known = table.x[:, at][~np.isnan(table.x[:, at])]
        told |= {"missing": round(1.0 - len(known) / len(table), 4), "mean": round(float(known.mean()), 4)}
    return told


def _listed(found: list[dict[str, Any]]) -> str:
    lines = [f"{'name':<10} {'rows':>6} {'events':>6} {'competing':>9} {'inputs':>6} {'missing':>7}  title"]
    for told in found:
        if told["available"]:
            numbers = f"{told['rows']:>6} {told['events']:>6} {told['competing_events']:>9}"
            missing = f"{told['missing']:>7.1%}"
        else:
            numbers, missing = f"{'?':>6} {'?':>6} {'?':>9}", f"{'?':>7}"
        lines.append(f"{told['name']:<10} {numbers} {len(told['inputs']):>6} {missing}  {told['title']}")
        lines.append(_wrapped(f"from {told['source']}; licence: {told['licence']}", "    "))
        lines += [_wrapped(leak, "    ! ") for leak in told["leaks"]]
        if not told["available"]:
            lines.append(_wrapped(f"not here: {told['needs']}", "    "))
    return "\n".join([*lines, "", "! is what would tell the outcome, or may; `bedside data NAME` shows one data set."])


def _shown(told: dict[str, Any]) -> str:
    lines = [told["title"], ""]
    if told["available"]:
        rivals = f", {told['competing_events']} {told['competing']}" if told["competing"] else ""
        lines += [
            f"{told['rows']} patients; {told['events']} {told['outcome']}{rivals}; {told['missing']:.1%} missing",
            f"days after {told['time_zero']}, at most {told['longest_days']:g}; sha256 {told['sha256'][:16]}",
        ]
    else:
        lines.append(_wrapped(f"not here: {told['needs']}"))
    for key in ("source", "licence", "reference"):
        lines.append(_wrapped(f"{key}: {told[key]}"))
    lines += ["", f"{'input':<25} {'unit':<9} {'mean':>9} {'missing':>7}  {'column':<21} codes"]
    for column in told["columns"]:
        mean = f"{column['mean']:>9.4g}" if "mean" in column else f"{'?':>9}"
        missing = f"{column['missing']:>7.1%}" if "missing" in column else f"{'?':>7}"
        codes = ", ".join(_short(code) for code in column["codes"])
        row = f"{column['name']:<25} {column['unit']:<9} {mean} {missing}  {column['source']:<21} {codes}"
        lines.append(row.rstrip())
    if told["subgroups"]:
        lines += ["", _wrapped("; ".join(f"{title} {count}" for title, count in told["subgroups"].items()))]
    for key in ("leaks", "limits", "caveats"):
        if told[key]:
            lines += ["", f"{key}:", *(_wrapped(line, "  - ") for line in told[key])]
    return "\n".join(lines)


def _short(code: str) -> str:
    system, _, value = code.partition("|")
    return f"{ {'http://loinc.org': 'LOINC', 'http://snomed.info/sct': 'SNOMED CT'}[system] } {value}"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))
