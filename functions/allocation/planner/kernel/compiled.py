"""Compile a function with numba where numba is; else leave it as it is, so that the search runs, only slower."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["COMPILED", "compiled"]

F = TypeVar("F", bound=Callable[..., object])

COMPILED = importlib.util.find_spec("numba") is not None


def compiled(function: F) -> F:
    """Return a function compiled for arrays, without the interpreter's lock.

    Parameters
    ----------
    function : callable
        Of arrays and numbers alone; its machine code is kept (see :func:`cache_folder`).

    Returns
    -------
    callable
        The function itself where numba is not installed.
    """
    if not COMPILED:
        return function
    numba = importlib.import_module("numba")
    before = numba.config.CACHE_DIR
    # Where the code goes is settled when the function is made; others' functions go where they went.
    numba.config.CACHE_DIR = str(_FOLDER)
    try:
        made: F = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
    return made


def cache_folder() -> Path:
    """Return where machine code is kept: ``$NUMBA_CACHE_DIR``, beside the sources, or among temporary files.

    The folder is named by a digest of the kernel's sources. Numba only looks whether a function's own file has changed,
    not those of the functions that are compiled into it, and would go on with what an older layout was compiled to.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.glob("*.py")):
        digest.update(source.read_bytes())
    named = f"planner-{digest.hexdigest()[:16]}"
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given) / named
    beside = here / "__pycache__" / named
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=beside):
            return beside
    except OSError:
        # Of this user alone: code that is loaded must not be another's.
        return Path(tempfile.gettempdir()) / f"bedside-{_user()}" / named


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


_FOLDER = cache_folder() if COMPILED else Path()
