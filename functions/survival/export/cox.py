"""The equation of a Cox model, read back from its file."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from functions.survival.models import CoxEquation

__all__ = ["read_cox"]


def read_cox(content: bytes) -> tuple[CoxEquation, Mapping[str, str]]:
    """Read back the equation of a Cox model from the file that ``export_model`` wrote.

    Parameters
    ----------
    content : bytes
        An ONNX file.

    Returns
    -------
    equation : CoxEquation
        The model's numbers, exactly, on the whole of training's times.
    metadata : mapping
        ``name``, ``version``, ``inputs``, ``ridge_alpha``, and what else the file says of itself; ``times`` is the
        declared grid as a JSON list.

    Raises
    ------
    ValueError
        The file does not hold a Cox equation.
    """
    from onnx import load_from_string

    metadata = {entry.key: entry.value for entry in load_from_string(content).metadata_props}
    if "equation" not in metadata:
        raise ValueError(f"the file does not hold a Cox equation but {metadata.get('kind', 'something else')}")
    found = json.loads(metadata["equation"])
    log = np.array(found.pop("log", []), dtype=np.bool_)
    numbers = {key: np.array(values, dtype=np.float64) for key, values in found.items()}
    names = tuple(json.loads(metadata["inputs"]))
    return CoxEquation(names=names, alpha=float(metadata["ridge_alpha"]), log=log, **numbers), metadata
