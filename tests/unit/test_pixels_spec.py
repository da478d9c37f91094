"""What a contract may say about its picture input, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.pixels import PixelSpec, Window


def test_a_contract_in_full() -> None:
    spec = PixelSpec.of(
        {
            "size": [224, 192],
            "fit": "pad",
            "filter": "area",
            "intensity": "voi",
            "window": {"center": 40, "width": 400},
            "fallback": "refuse",
            "range": [-1, 1],
            "mean": [0.485, 0.456, 0.406],
            "std": 0.25,
            "channels": 3,
        }
    )
    assert spec == PixelSpec(
        size=(224, 192),
        fit="pad",
        filter="area",
        intensity="voi",
        window=Window(40, 400),
        fallback=None,
        range=(-1, 1),
        mean=(0.485, 0.456, 0.406),
        std=(0.25,),
        channels=3,
    )
    assert PixelSpec.of({"size": 64, "intensity": "raw"}).size == (64, 64)
    assert PixelSpec.of({"size": "native", "intensity": "modality", "clip": [-1000, 1000]}).size is None
    assert PixelSpec.of({"size": 64, "intensity": "voi", "window": "file"}).window is None
    assert PixelSpec.of({"size": 64, "intensity": "voi", "window": "percentiles"}).window == "percentiles"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": None}, "size"),
        ({"size": [1, 2, 3]}, "size"),
        ({"size": 0}, "size"),
        ({"size": [64, True]}, "size"),
        ({"fit": "squeeze"}, "fit must be one of stretch, crop, pad"),
        ({"filter": "nearest"}, "filter must be one of"),
        ({"intensity": "hounsfield"}, "intensity must be one of"),
        ({"window": {"center": 40}}, "window"),
        ({"window": "auto"}, "window: must have center and width, or be file or percentiles"),
        ({"window": "percentiles", "fallback": "refuse"}, "window percentiles needs fallback"),
        ({"window": "percentiles", "intensity": "raw"}, "window belongs"),
        ({"window": {"center": 40, "width": 0}}, "window"),
        ({"window": {"center": 40, "width": 4}, "intensity": "raw"}, "window belongs"),
        ({"clip": [0, 1]}, "clip belongs"),
        ({"clip": [1, 0], "intensity": "modality"}, "clip must be"),
        ({"range": [0]}, "range"),
        ({"range": [0, 1], "intensity": "modality"}, "range with intensity modality needs clip"),
        ({"fallback": [99, 1]}, "fallback"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"std": 0}, "std must be positive"),
        ({"channels": 2}, "channels"),
        ({"resample": "area"}, "not known: resample"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PixelSpec.of({"size": 64, "intensity": "voi"} | change)


@pytest.mark.parametrize("missing", ["size", "intensity"])
def test_what_a_contract_must_say(missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{missing} is missing"):
        PixelSpec.of({key: value for key, value in {"size": 64, "intensity": "voi"}.items() if key != missing})
