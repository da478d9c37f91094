"""Which function answers with which model, and so on which queue an event belongs.

A model belongs to the function that has its package: ``functions/{function}/packages/{package}``; the ward model is its
own source and has none. Functions that only
pass events on carry no packages; their artefact carries the table instead, written when it was built
(:mod:`infra.packaging.artefact`). So a package that is added is routed without a setting.

Every function has one queue. Its URL is in ``{FUNCTION}_QUEUE_URL``, such as ``DIAGNOSIS_QUEUE_URL``; where there is no
such variable, the queue is that of ``EVENT_QUEUE_URL``, and so it is for a model that no function has: whoever reads
there puts the event aside and says so.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from functions.serving.cloud import SqsQueue, setting
from functions.serving.events import Event

__all__ = ["TABLE", "WITHOUT_PACKAGE", "RoutedQueue", "functions_of", "routed_queue"]

TABLE = Path(__file__).with_name("models.json")
# Answers for wards instead of single resources: events are the reason to plan, not what is asked about.
WITHOUT_PACKAGE = {"ward": "allocation"}
FUNCTIONS = Path(__file__).parents[1]
# At the beginning of a line, so that it is the package's own; what reads YAML is not needed for this.
_NAME = re.compile(r"^name:[ \t]*[\"']?([A-Za-z0-9_-]+)", re.MULTILINE)


def functions_of(folder: Path = FUNCTIONS) -> dict[str, str]:
    """Return the function of every model: from the table where there is one, else from the packages.

    Parameters
    ----------
    folder : Path
        With a folder for each function.
    """
    table = folder / "serving" / TABLE.name
    if table.is_file():
        return {str(model): str(function) for model, function in json.loads(table.read_bytes()).items()}
    found = {model: function for model, function in WITHOUT_PACKAGE.items() if (folder / function).is_dir()}
    for contract in sorted(folder.glob("*/packages/*/model.yaml")):
        named = _NAME.search(contract.read_text(encoding="utf-8", errors="replace"))
        if named:
            found[named[1]] = contract.parents[2].name
    return found


class RoutedQueue:
    """One queue a function, behind one face; an :class:`~functions.serving.cloud.EventQueue`.

    Parameters
    ----------
    default : SqsQueue
        For models of functions without a queue of their own.
    queues : mapping of str to SqsQueue
        By function.
    functions : mapping of str to str
        Function by model.
    """

    def __init__(self, default: SqsQueue, queues: Mapping[str, SqsQueue], functions: Mapping[str, str]) -> None:
        self._default = default
        self._queues = dict(queues)
        self._functions = dict(functions)

    def send(self, events: Sequence[Event], models: Sequence[str] = ()) -> None:
        """Send each to the queue of the function that has its model.

        Raises
        ------
        QueueError
        """
        self.send_later(events, 0, models)

    def send_later(self, events: Sequence[Event], seconds: float, models: Sequence[str] = ()) -> None:
        """Send each so that it arrives in some seconds.

        Raises
        ------
        QueueError
        """
        sorted_out: dict[SqsQueue, list[Event]] = {}
        for event in events:
            sorted_out.setdefault(self._of(event.model or _first(event, models)), []).append(event)
        for queue, found in sorted_out.items():
            queue.send_later(found, seconds)

    def _of(self, model: str) -> SqsQueue:
        return self._queues.get(self._functions.get(model, ""), self._default)


def _first(event: Event, models: Sequence[str]) -> str:
    """The model that an event means which names none; a sweep is for who sweeps on behalf of all."""
    sweepers = [model for model in models if event.kind == "sweep" and model not in WITHOUT_PACKAGE]
    return next(iter(sweepers or models), "")


def routed_queue() -> RoutedQueue:
    """Return the queues that the environment names.

    Raises
    ------
    ConfigurationError
        ``EVENT_QUEUE_URL`` is not set.
    """
    functions = functions_of()
    urls = {name: os.environ.get(f"{name.upper()}_QUEUE_URL") for name in set(functions.values())}
    queues = {name: SqsQueue(url) for name, url in urls.items() if url}
    return RoutedQueue(SqsQueue(setting("EVENT_QUEUE_URL")), queues, functions)
