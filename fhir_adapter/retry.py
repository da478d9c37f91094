"""How often, how long and how patiently a request is tried again.

Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), and never sooner than
``Retry-After`` asks for (RFC 9110, 10.2.3).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

__all__ = ["UNAVAILABLE", "RetryPolicy", "retry_after", "worth_another_try"]

UNAVAILABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try.

    Parameters
    ----------
    attempts : int
        Tries in all.
    deadline : float
        Seconds in all, waits included.
    base, cap : float
        Seconds: the n-th wait is uniform in [0, min(cap, base * 2**n)].
    timeout : float
        Seconds for one try, connection and answer each.
    """

    attempts: int = 4
    deadline: float = 20.0
    base: float = 0.2
    cap: float = 4.0
    timeout: float = 10.0

    def longest_wait(self, attempt: int) -> float:
        """Return the upper bound of the wait after a try, the first being 0."""
        return min(self.cap, self.base * 2.0**attempt)


def worth_another_try(response: httpx.Response) -> bool:
    """Return whether the same request may succeed later.

    A 413 counts only when the server says when to come back (RFC 9110, 15.5.14).
    """
    return response.status_code in UNAVAILABLE or (
        response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and "retry-after" in response.headers
    )


def retry_after(response: httpx.Response) -> float:
    """Return the seconds a ``Retry-After`` header asks for, 0 when there is none."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
