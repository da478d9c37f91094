"""Keeping pydicom quiet: its warnings and log records quote values of the data set, which may be a patient's."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import ParamSpec, TypeVar

from pydicom.errors import BytesLengthException, InvalidDicomError

from fhir_adapter.dicomfile.errors import DicomDamaged
from fhir_adapter.errors import FhirAdapterError

__all__ = ["RAISED", "quietly", "sound"]

P = ParamSpec("P")
R = TypeVar("R")

# What pydicom 3 and the decoders raise on damaged input, as seen under fuzzing; they promise no tree of their own.
RAISED: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    StopIteration,
    struct.error,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
)

# warnings.catch_warnings changes the whole process; reading is pure Python, so taking turns costs no time.
_TURN = RLock()

for _name in ("pydicom", "openjpeg", "jpeg_ls"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@contextmanager
def quietly() -> Iterator[None]:
    """Drop warnings, which may quote what they warn about."""
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sound(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn what a malformed attribute makes of code that reads it into a named error.

    A file may encode an attribute as anything: a sequence as text, a number as a list. Such an error's own words, and
    those of its cause, may quote the value, so neither is kept.

    Parameters
    ----------
    what : str
        What is read, for the error.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except FhirAdapterError:
                raise
            except RAISED:
                raise DicomDamaged(f"an attribute of the {what} is not what the standard makes it") from None

        return guarded

    return decorate
