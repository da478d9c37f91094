"""Access tokens of this process: kept while they are fresh, and asked for by one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from fhir_adapter.auth.errors import AuthorizationUnavailable
from fhir_adapter.auth.tokens import Token

__all__ = ["TOKENS", "SingleFlight", "TokenCache"]

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Values by key; while one thread fetches a value, others wait for it or for its error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Hashable, T] = {}
        self._flights: dict[Hashable, Future[T]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._values)} kept)"

    def find(self, key: Hashable, usable: Callable[[T], bool], fetch: Callable[[], T]) -> T:
        """Return the kept value when it is usable, else a fetched one, so that a hundred threads fetch once."""
        with self._lock:
            kept = self._values.get(key)
            if kept is not None and usable(kept):
                return kept
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                self._values.pop(key, None)
                flight = self._flights[key] = Future()
        return self._fly(key, flight, fetch) if mine else flight.result()

    def forget(self, key: Hashable) -> None:
        """Drop a value."""
        with self._lock:
            self._values.pop(key, None)

    def _fly(self, key: Hashable, flight: Future[T], fetch: Callable[[], T]) -> T:
        try:
            value = fetch()
        except BaseException as error:  # whoever waits must hear of it, whatever it is
            with self._lock:
                del self._flights[key]
            interrupted = AuthorizationUnavailable("the thread that signed in was interrupted")
            flight.set_exception(error if isinstance(error, Exception) else interrupted)
            raise
        with self._lock:
            self._values[key] = value
            del self._flights[key]
        flight.set_result(value)
        return value


class TokenCache:
    """Tokens by (token URL, client id, scope).

    Parameters
    ----------
    clock : callable
        Seconds since the epoch. Not a monotonic clock: that one stands still while a Lambda container is frozen,
        and a token does not.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._tokens: SingleFlight[Token] = SingleFlight()

    def get(self, key: tuple[str, str, str], fetch: Callable[[], Token], refused: str | None = None) -> Token:
        """Return a fresh token, fetching it when there is none.

        Parameters
        ----------
        key : tuple of str
            (token URL, client id, scope).
        fetch : callable
            Gets a new token.
        refused : str, optional
            A token that is not wanted any more.
        """
        return self._tokens.find(key, lambda kept: kept.value != refused and kept.is_fresh(self.clock()), fetch)


TOKENS = TokenCache()
