"""What the offline commands tell a person, on standard error."""

from __future__ import annotations

import sys

__all__ = ["not_installed", "say"]

# What a module is called where it is installed from.
LIBRARIES = {"sksurv": "scikit-survival", "sklearn": "scikit-learn", "torch": "torch (pip install torch==2.13.0)"}


def say(line: str) -> None:
    """Write one line to standard error."""
    print(line, file=sys.stderr, flush=True)


def not_installed(missing: ImportError) -> int:
    """Say what to install; returns the exit status."""
    library = LIBRARIES.get(missing.name or "", missing.name or str(missing))
    say(f"{library} is not installed: training and evaluation need `make setup-train`")
    return 1
