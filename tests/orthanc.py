"""A real Orthanc for tests, in a network of its own (:mod:`infra.local.pacs.orthanc`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.pacs import OrthancPacs

__all__ = ["orthanc"]


@contextmanager
def orthanc(data_dir: Path) -> Iterator[OrthancPacs]:
    """Run an Orthanc of one's own; skips where it cannot run, fails there with BEDSIDE_REQUIRE_PEERS=1."""
    problem = OrthancPacs.problem()
    if problem is not None:
        message = f"peer Orthanc is not here: {problem}"
        if os.environ.get("BEDSIDE_REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    pacs = OrthancPacs(data_dir)
    pacs.start()
    try:
        yield pacs
    finally:
        pacs.stop()
