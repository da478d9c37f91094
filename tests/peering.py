"""Real peers of the tests: skipped by name when absent, a failure where BEDSIDE_REQUIRE_PEERS=1."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest


def require_peer(name: str, module: str | None = None, command: str | None = None) -> None:
    """Go on only when a peer is here.

    Parameters
    ----------
    name : str
        What people call it.
    module : str, optional
        Python module it brings.
    command : str, optional
        Command it brings, in this environment or on the PATH.
    """
    here = (module is None or importlib.util.find_spec(module) is not None) and (
        command is None or (Path(sys.executable).parent / command).exists() or shutil.which(command) is not None
    )
    if here:
        return
    message = f"peer {name} is not here (make setup-train brings the Python ones, .ci/run the others)"
    if os.environ.get("BEDSIDE_REQUIRE_PEERS") == "1":
        pytest.fail(message)
    pytest.skip(message)
