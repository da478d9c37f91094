"""The R package ``survival`` as a peer: its data, without R."""

from __future__ import annotations

import os

import pytest

from functions.offline.errors import DataAbsent
from functions.offline.rpackage import data_files
from tests.peering import require_peer


def require_r_survival() -> None:
    """Go on only when the package's data can be read here."""
    require_peer("rdata", "rdata")
    try:
        data_files("survival")
    except DataAbsent as absent:
        if os.environ.get("BEDSIDE_REQUIRE_PEERS") == "1":
            pytest.fail(str(absent))
        pytest.skip(str(absent))
