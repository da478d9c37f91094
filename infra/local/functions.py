"""Lambda functions as the twin runs them: an event in, a result out."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO


class LambdaFunction(Protocol):
    """A function that can be invoked; one invocation at a time, as in one Lambda environment."""

    def start(self) -> None:
        """Initialise it: what Lambda does once per environment."""

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke it synchronously; what it raises, raises here."""

    def stop(self) -> None:
        """Take it down."""


@dataclass(frozen=True)
class LambdaContext:
    """The context object of the Python runtime (AWS Lambda, "Using the Lambda context object")."""

    function_name: str
    memory_limit_in_mb: str = "1024"
    function_version: str = "$LATEST"
    timeout_seconds: float = 30.0
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _started: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """Its ARN, in the account that everything local shares."""
        return f"arn:aws:lambda:eu-central-1:123456789012:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """Name of its CloudWatch log group."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """Name of its log stream."""
        return "twin/[$LATEST]0"

    @property
    def identity(self) -> None:
        """No Cognito identity."""
        return None

    @property
    def client_context(self) -> None:
        """No mobile client."""
        return None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the invocation."""
        return max(0, int((self.timeout_seconds - (time.monotonic() - self._started)) * 1000))


class FunctionLog(io.TextIOBase):
    """Where a function's standard output goes: CloudWatch in the cloud, a stream of our choice here.

    One object for the life of the process, because loggers keep the stream they first saw. It stands in for
    ``sys.stdout`` while a function runs, and hands what threads write that are none of the function's to the real one.
    """

    def __init__(self) -> None:
        self.target: TextIO | None = None
        self._outer: TextIO | None = None
        self._others: frozenset[int | None] = frozenset()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Write what a function says to the target, or nowhere."""
        stream = self._stream()
        if stream is not None:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the target."""
        stream = self._stream()
        if stream is not None:
            stream.flush()

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Take over the standard output of this thread and of those it starts. Not for two threads at once."""
        ours = threading.get_ident()
        self._others = frozenset(thread.ident for thread in threading.enumerate()) - {ours}
        self._outer = sys.stdout
        try:
            with contextlib.redirect_stdout(self):
                yield
        finally:
            self._outer = None

    def _stream(self) -> TextIO | None:
        """Between two invocations only what a function left behind still writes, such as a call past its deadline."""
        outer = self._outer
        return self.target if outer is None or threading.get_ident() not in self._others else outer


LOG = FunctionLog()

# Powertools keeps metrics in class attributes and the environment is the process's: no two at once.
_ONE_AT_A_TIME = threading.RLock()


class InProcessFunction:
    """A handler called in this process, with its own environment variables and a fresh import.

    Parameters
    ----------
    handler : str
        As in a template's ``Handler``: ``functions.survival.app.handler``.
    environment : Mapping of str to str
        Set while the function is imported and while it runs.
    timeout : float
        What the context tells the function; not enforced.
    """

    def __init__(self, handler: str, environment: Mapping[str, str], timeout: float = 30.0) -> None:
        self._module, _, self._name = handler.rpartition(".")
        if not self._module:
            raise ValueError(f"a handler is module.function, got {handler!r}")
        self._environment = dict(environment)
        self._timeout = timeout
        self._handler: Callable[[dict[str, Any], LambdaContext], Any] | None = None

    def start(self) -> None:
        """Import the handler afresh, as a new Lambda environment would.

        Raises
        ------
        ImportError
            There is no such module.
        AttributeError
            There is no such function in it.
        """
        with _ONE_AT_A_TIME, self._inside():
            _forget_clients()
            self._forget_modules()
            self._handler = getattr(importlib.import_module(self._module), self._name)

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke the handler; what it raises, raises here."""
        if self._handler is None:
            raise RuntimeError(f"{self._module} was not started")
        context = LambdaContext(self._module.replace(".", "-"), timeout_seconds=self._timeout)
        with _ONE_AT_A_TIME, self._inside():
            result = self._handler(event, context)
        return result if isinstance(result, dict) else {}

    def stop(self) -> None:
        """Close what the handler can close, and forget it and the connections that Lambda ends without closing too."""
        close = getattr(self._handler, "close", None)
        if close is not None:
            close()
        self._handler = None
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            _forget_clients()
            self._forget_modules()
            gc.collect()

    def _forget_modules(self) -> None:
        """Forget the handler's module, which keeps what a Lambda environment keeps; the others keep nothing."""
        sys.modules.pop(self._module, None)
        parent, _, child = self._module.rpartition(".")
        if child in vars(sys.modules.get(parent, object)):
            # the package would keep it, and it its connections
            delattr(sys.modules[parent], child)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """Give the function its environment variables and its own standard output."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            with LOG.capture():
                yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _forget_clients() -> None:
    """Drop clients and cached secrets that outlive a module: they belong to another environment."""
    parameters = sys.modules.get("aws_lambda_powertools.utilities.parameters")
    base = sys.modules.get("aws_lambda_powertools.utilities.parameters.base")
    if parameters is not None and base is not None:
        parameters.clear_caches()
        base.DEFAULT_PROVIDERS.clear()
