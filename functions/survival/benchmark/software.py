"""What the numbers depend on besides the data."""

from __future__ import annotations

import platform
from importlib.metadata import version

__all__ = ["software"]


def software() -> dict[str, str]:
    """Return the versions of Python, the libraries that compute, and the kind of machine."""
    libraries = ("numpy", "scipy", "scikit-learn", "scikit-survival", "onnx", "onnxruntime")
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{library: version(library) for library in libraries},
    }
