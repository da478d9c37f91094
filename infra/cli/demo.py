"""``bedside demo``: a hospital on this machine, a synthetic cohort, and each patient's risk."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import cast

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infra.local.answers import Result
from infra.local.demonstration import MODELS, Demonstration, Report, Tally
from infra.local.pages import horizon, percent
from infra.local.results import ResultReader
from infra.local.staying import stay, terminable
from infra.local.synthea import SyntheaError
from infra.local.twin import Twin, TwinError

DESCRIPTION = """\
Start a hospital and its cloud on this machine: a FHIR server, an API gateway, a queue, the functions. Admit
synthetic patients with a myocardial infarction and one whole Synthea history, and see outpatients with a chronic
liver disease, a monoclonal gammopathy or a fatty liver; every admission and every visit becomes a notification, and
every notification a prediction in the record, or a recorded abstention. A visit is put to three models; one that does
not apply to the patient says nothing. Nothing leaves this machine and no account is needed.

The record is kept: a second run finds everything answered and writes nothing twice.
"""
EPILOG = """\
examples:
  bedside demo                 show the page until Ctrl-C
  bedside demo --once --json   one JSON object on standard output, for scripts
  bedside demo --fresh         forget the record of earlier runs first

exit status: 0 when every admission and visit ended in a result or a recorded abstention, 1 otherwise
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside demo``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--once", action="store_true", help="end when every admission is answered")
    parser.add_argument("--json", action="store_true", help="print one JSON object; all else goes to standard error")
    parser.add_argument("--fresh", action="store_true", help="delete the record of earlier runs first")
    parser.add_argument(
        "--data", type=Path, default=Path("build/demo"), metavar="DIR", help="where the record is kept (%(default)s)"
    )
    parser.add_argument("--patients", type=positive, default=24, metavar="N", help="patients admitted (%(default)s)")
    parser.add_argument(
        "--outpatients", type=natural, default=6, metavar="N", help="outpatients with each disease (%(default)s)"
    )
    parser.add_argument("--port", type=int, default=None, metavar="P", help="port of the page (a free one)")
    parser.add_argument(
        "--lambda-emulator", action="store_true", help="run the functions in AWS's runtime emulator, not in process"
    )


def positive(text: str) -> int:
    """Return a whole number above zero, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def natural(text: str) -> int:
    """Return a whole number from zero, for argparse."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return number


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns the exit status."""
    console = Console(stderr=args.json)
    if args.fresh:
        shutil.rmtree(args.data / "ehr", ignore_errors=True)
    try:
        with terminable(), Twin(args.data, args.port, lambda_emulator=args.lambda_emulator) as twin:
            report = _play(twin, args, console)
            if args.json:
                sys.stdout.write(json.dumps(report.to_json()) + "\n")
                sys.stdout.flush()
            else:
                for results in filter(None, ResultReader(twin.fhir, MODELS).all().values()):
                    console.print(_patients(results))
            _verdict(report, console)
            if not args.once:
                console.print(f"\nThe page: [bold]{twin.page_url}[/bold]   (Ctrl-C ends everything)")
                stay()
    except (TwinError, SyntheaError, OSError, httpx.HTTPError, BotoCoreError, ClientError) as error:
        console.print(f"The demo could not run: {error}", style="bold red", markup=False)
        return 1
    return 0 if report.complete else 1


def _play(twin: Twin, args: argparse.Namespace, console: Console) -> Report:
    said: list[str] = []

    def picture() -> Group:
        steps = [Text(f"  {step}", style="dim") for step in said[:-1]]
        return Group(*steps, *(Text(f"> {step}") for step in said[-1:]), _counts(Tally.of(twin)))

    with Live(picture(), console=console, refresh_per_second=4) as live:

        def say(step: str) -> None:
            said.append(step)
            live.update(picture())

        demonstration = Demonstration(
            twin, args.patients, say, watch=lambda: live.update(picture()), outpatients=args.outpatients
        )
        report = demonstration.play()
        say("Done" if report.complete else "Not everything was answered")
    console.print()
    return report


def _counts(tally: Tally) -> Table:
    """One line a model, and one for all of them."""
    latency = "" if tally.p50 is None else f"answered in {tally.p50:.0f} ms (p50), {tally.p95:.0f} ms (p95)"
    table = Table(box=SIMPLE_HEAD, caption=latency, caption_justify="left")
    table.add_column("Model")
    for name in ("predicted", "abstained", "not its patient", "answered before"):
        table.add_column(name, justify="right")
    for model, ends in tally.models.items():
        counts = (ends.predictions, ends.abstentions, ends.not_applicable, ends.duplicates)
        table.add_row(model, *map(str, counts))
    counts = (tally.predictions, tally.abstentions, tally.not_applicable, tally.duplicates)
    table.add_row(f"{tally.events} events", *map(str, counts), style="bold")
    if tally.failures or tally.dead_letters:
        table.add_row(f"{tally.failures} failed, {tally.dead_letters} dead letters", style="red")
    return table


def _patients(results: list[Result]) -> Table:
    first = results[0]
    what = f"{first.outcome} within {horizon(first.main.days)}" if first.main else first.title
    table = Table(title=f"{first.model}: {what}", title_justify="left", box=SIMPLE_HEAD)
    for name, justify in (("Patient", "left"), ("Id", "left"), ("Age", "right"), ("Sex", "left"), ("Risk", "right")):
        table.add_column(name, justify=cast(JustifyMethod, justify), no_wrap=name != "Patient")
    table.add_column("")
    for result in results:
        person, risk = result.person, result.main
        cells = [person.name, person.id[:19], str(person.age or ""), person.sex]
        if risk is None:
            table.add_row(*cells, "-", Text(f"no prediction: {result.reason[:1].lower()}{result.reason[1:]}"))
        else:
            bar = Text("█" * round(risk.percent / 4), style="blue")
            table.add_row(*cells, percent(risk.percent), bar)
    return table


def _verdict(report: Report, console: Console) -> None:
    tally = report.tally
    if report.complete:
        console.print(
            f"{report.admissions} events, all answered: {report.written} predictions new in the record, "
            f"{tally.abstentions} new abstentions, {tally.not_applicable} put to a model that does not apply, "
            f"{tally.duplicates} answered before."
        )
        return
    console.print(
        f"Not complete: {tally.events} of {report.admissions} events ended, {tally.failures} failed, "
        f"{tally.dead_letters} dead letters. functions.log in the data directory says more.",
        style="bold red",
    )
