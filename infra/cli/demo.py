"""``bedside demo``: a hospital on this machine, a synthetic cohort, and each patient's risk."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fhir_adapter.dicomweb import ImageStoreError
from infra.local.answers import Result
from infra.local.demonstration import Demonstration, Report, Tally
from infra.local.phrases import amount, horizon, lower_first, percent
from infra.local.recorder import Compared
from infra.local.results import ResultReader
from infra.local.staying import stay, terminable
from infra.local.studies import FilesAbsent
from infra.local.subscriptions import MODELS
from infra.local.synthea import SyntheaError
from infra.local.twin import Twin, TwinError

DESCRIPTION = """\
Start a hospital and its cloud on this machine: a FHIR server, an API gateway, a queue, the functions. Admit
synthetic patients with a myocardial infarction and one whole Synthea history; see outpatients with a chronic liver
disease, a monoclonal gammopathy or a fatty liver; test thyroids; and store an electrocardiogram and chest films, an
adult's among them, in an image archive (Orthanc where it is installed). Every admission, visit, test and study becomes
a notification, and every notification an answer in the record, or a recorded abstention. A visit is put to three models
and a study to two; one that does not apply says nothing. Nothing leaves this machine and no account is needed.

Record and archive are kept: a second run finds everything answered and writes nothing twice.
"""
EPILOG = """\
examples:
  bedside demo                 show the page until Ctrl-C
  bedside demo --once --json   one JSON object on standard output, for scripts
  bedside demo --fresh         forget the record of earlier runs first

exit status: 0 when every one of them ended in a result or a recorded abstention, 1 otherwise
"""

FAILURES = (
    *(TwinError, SyntheaError, FilesAbsent, ImageStoreError),
    *(OSError, httpx.HTTPError, BotoCoreError, ClientError),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside demo``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--once", action="store_true", help="end when everything is answered")
    parser.add_argument("--json", action="store_true", help="print one JSON object; all else goes to standard error")
    parser.add_argument("--fresh", action="store_true", help="delete record and archive of earlier runs first")
    parser.add_argument(
        "--data", type=Path, default=Path("build/demo"), metavar="DIR", help="where the record is kept (%(default)s)"
    )
    parser.add_argument("--patients", type=positive, default=24, metavar="N", help="patients admitted (%(default)s)")
    parser.add_argument(
        "--outpatients",
        type=natural,
        default=6,
        metavar="N",
        help="outpatients with each disease, and thyroids tested (%(default)s)",
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
        for kept in ("ehr", "pacs"):
            shutil.rmtree(args.data / kept, ignore_errors=True)
    try:
        with terminable(), Twin(args.data, args.port, lambda_emulator=args.lambda_emulator) as twin:
            report = _play(twin, args, console)
            if args.json:
                sys.stdout.write(json.dumps(report.to_json()) + "\n")
                sys.stdout.flush()
            else:
                for results in filter(None, ResultReader(twin.fhir, MODELS).all().values()):
                    console.print(_patients(results))
                if report.measurements:
                    console.print(_compared(report.measurements))
            _verdict(report, console)
            if not args.once:
                if twin.front_url:
                    console.print(
                        f"\nThe EHR:  [bold]{twin.front_url}[/bold]   (choose a patient: Bedside opens inside)"
                    )
                console.print(f"\nThe page: [bold]{twin.page_url}[/bold]   (Ctrl-C ends everything)")
                stay()
    except FAILURES as error:
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
    table.add_column("Model", no_wrap=True)
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
    number = "Risk" if first.main else "Most"
    for name, justify in (("Patient", "left"), ("Id", "left"), ("Age", "right"), ("Sex", "left"), (number, "right")):
        table.add_column(name, justify=cast(JustifyMethod, justify), no_wrap=name != "Patient")
    table.add_column("")
    for result in results:
        person, share = result.person, _share(result)
        cells = [person.name, person.id[:19], str(person.age or ""), person.sex]
        if not result.answered:
            table.add_row(*cells, "-", Text(f"no answer: {lower_first(result.reason)}. {result.detail}".strip()))
        elif result.main:
            table.add_row(*cells, percent(share), Text("█" * round(share / 4), style="blue"))
        else:
            table.add_row(*cells, percent(share), Text(_findings(result)))
    return table


def _share(result: Result) -> float:
    """The number in a list: the risk, or that of the finding that is most probable, in percent."""
    found = [result.main.percent] if result.main else [item.percent for item in result.findings]
    return max(found, default=0.0)


def _findings(result: Result) -> str:
    """What a diagnosis model states, and what it measured."""
    told = ", ".join(item.name for item in result.stated) or "nothing stated"
    measured = ", ".join(f"{item.name} {amount(item.value)} {item.unit}" for item in result.measurements)
    return f"{told}; {measured}" if measured else told


def _compared(measurements: Sequence[Compared]) -> Table:
    """The electrocardiogram's measurements beside those of the device that recorded it."""
    table = Table(title="ecg: beside what the electrocardiograph measured", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("Measurement")
    for name in ("Model", "Device", "Tolerance"):
        table.add_column(name, justify="right")
    table.add_column("In tolerance")
    for item in measurements:
        numbers = (f"{amount(item.model)} {item.unit}", f"{amount(item.device)} {item.unit}", f"±{item.tolerance:g}")
        table.add_row(item.name, *numbers, Text("yes") if item.within else Text("no", style="bold red"))
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
