"""What our code sent to an EHR, checked on its way; ``tests/conftest.py`` fails the test that sent it."""

from __future__ import annotations

import threading
from typing import Any

from tests.validator.definitions import definitions
from tests.validator.walk import Walk


class Sent:
    """A list of what is wrong, from any thread of one test.

    Attributes
    ----------
    watching : bool
        Off in a test that sends something invalid on purpose.
    """

    def __init__(self) -> None:
        self.watching = True
        self._wrong: list[str] = []
        self._lock = threading.Lock()

    def start(self, watching: bool) -> None:
        """Forget the last test."""
        with self._lock:
            self._wrong.clear()
            self.watching = watching

    def check(self, resource: Any) -> bool:
        """Return whether a resource is valid; remember it when it is not."""
        walk = Walk(definitions())
        walk.resource(resource)
        wrong = [str(issue) for issue in walk.issues if issue.severity == "error"]
        with self._lock:
            if self.watching:
                self._wrong += wrong
        return not wrong

    def wrong(self) -> list[str]:
        """Return what was wrong, each thing once."""
        with self._lock:
            return sorted(set(self._wrong))


SENT = Sent()
