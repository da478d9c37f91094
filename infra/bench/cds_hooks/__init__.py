"""Answering a CDS Hooks call, beside the bare reads and the bare model run it is made of.

The EHR is an HTTP server in a process of its own that takes its time before each answer, as one across a hospital's
network does. Calls and floors take turns. A call is everything between the event that API Gateway hands over and the
answer: the client's signature, the body, reads, answer, cards, log and metrics. The record of used tokens is in memory;
in AWS it costs one conditional put to DynamoDB more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from functions.survival.predict import load_models
from infra.bench.cds_hooks.client import Client
from infra.bench.cds_hooks.ehr import DELAY_SECONDS, KINDS, Ehr, prediction, record, serving

__all__ = ["measure"]

PACKAGES = Path(__file__).parents[3] / "functions" / "survival" / "packages"


def measure(rounds: int = 60) -> dict[str, Any]:
    """Time calls and their floors in turns.

    Returns
    -------
    dict
        ``stored`` and ``computed``: medians and 95th percentiles in milliseconds of a call (``p50_ms``, ``p95_ms``) and
        of its floor (``floor_p50_ms``, ``floor_p95_ms``), and the ``ratio`` of the medians (aims: 1.5 and 1.3);
        ``prefetched``: a prediction worked out from what was sent along; ``delay_ms`` of the EHR.
    """
    model = load_models(PACKAGES)["whas500"]
    found: dict[str, Any] = {"rounds": rounds, "delay_ms": 1000 * DELAY_SECONDS}
    resources = {kind: [item for item in record() if item["resourceType"] == kind] for kind in KINDS}
    stored, nothing = Ehr(resources, [prediction(model, resources)]), Ehr(resources, [])
    with _quiet():
        with serving(stored) as base, closing(Client(model, stored, base)) as client:
            found["stored"] = _in_turns(rounds, client.call, client.one_read)
        with serving(nothing) as base, closing(Client(model, nothing, base)) as client:
            found["computed"] = _in_turns(rounds, client.call, client.reads_and_run)
            series = [_timed(lambda: client.call(client.everything)) for _ in range(rounds)]
    found["prefetched"] = {"p50_ms": _ms(series, 50), "p95_ms": _ms(series, 95)}
    return found


def _in_turns(rounds: int, call: Callable[[], None], floor: Callable[[], None]) -> dict[str, float]:
    ours: list[int] = []
    bare: list[int] = []
    for number in range(-3, rounds):
        taken = _timed(call), _timed(floor)
        if number >= 0:  # the first turns open connections and fill caches
            ours.append(taken[0])
            bare.append(taken[1])
    return {
        "p50_ms": _ms(ours, 50),
        "p95_ms": _ms(ours, 95),
        "floor_p50_ms": _ms(bare, 50),
        "floor_p95_ms": _ms(bare, 95),
        "ratio": round(float(np.median(ours) / np.median(bare)), 2),
    }


def _timed(work: Callable[[], None]) -> int:
    started = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - started


def _ms(series: list[int], percentile: float) -> float:
    return round(float(np.percentile(series, percentile)) / 1e6, 2)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let log and metrics be written, to nowhere."""
    os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Bench")
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "cds-hooks-bench")
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield
