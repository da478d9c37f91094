"""The functions of the twin, started in order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from infra.local.aws import LocalAws
from infra.local.emulator import EmulatedFunction
from infra.local.errors import TwinError
from infra.local.functions import InProcessFunction, LambdaFunction

__all__ = ["DIAGNOSIS_BATCH_SIZE", "start_front", "start_functions"]

# Handler, and seconds an invocation may take; by the second part of its name the queue of its dead letters is known.
HANDLERS = (
    ("functions.receiver.app.handler", 30.0),
    ("functions.survival.app.handler", 30.0),
    ("functions.diagnosis.app.handler", 120.0),
)
# As in the template: a study may take seconds to fetch.
DIAGNOSIS_BATCH_SIZE = 3


# Behind the HTTP API as the receiver is; a person or an EHR waits for their answers.
FRONT_HANDLERS = (("functions.smart_app.app.handler", 30.0), ("functions.cds_hooks.app.handler", 30.0))


def start_functions(
    given: Sequence[LambdaFunction | None], aws: LocalAws, stack: ExitStack, *, emulated: bool
) -> tuple[LambdaFunction, ...]:
    """Start receiver, survival worker and diagnosis worker.

    Parameters
    ----------
    given : sequence of LambdaFunction or None
        Functions to start instead, in that order.
    aws : LocalAws
        Their cloud, started.
    stack : ExitStack
        Stops them.
    emulated : bool
        Whether Bedside's own run in AWS's runtime emulator.

    Raises
    ------
    TwinError
        One did not start.
    """
    functions = []
    for other, (handler, seconds) in zip(given, HANDLERS, strict=True):
        environment = aws.environment(handler.split(".")[1])
        made: LambdaFunction
        if emulated:
            made = other or EmulatedFunction(handler, environment, timeout=seconds)
        else:
            made = other or InProcessFunction(handler, environment, seconds)
        stack.callback(made.stop)
        try:
            made.start()
        except Exception as error:  # the edge: initialising a function runs any code
            raise TwinError(f"a function did not start: {type(error).__name__}: {error}") from error
        functions.append(made)
    return tuple(functions)


def start_front(aws: LocalAws, base_url: str, stack: ExitStack) -> tuple[LambdaFunction, ...]:
    """Start the SMART app and the CDS service, in this process.

    Parameters
    ----------
    aws : LocalAws
        Their cloud, started.
    base_url : str
        Origin of the HTTP API.
    stack : ExitStack
        Stops them.

    Raises
    ------
    TwinError
        One did not start.
    """
    functions = []
    for handler, seconds in FRONT_HANDLERS:
        made = InProcessFunction(handler, {**aws.environment(), "SMART_BASE_URL": base_url}, seconds)
        stack.callback(made.stop)
        try:
            made.start()
        except Exception as error:  # the edge: initialising a function runs any code
            raise TwinError(f"a function did not start: {type(error).__name__}: {error}") from error
        functions.append(made)
    return tuple(functions)
