"""Sentences that page and card share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.diagnosis.report.tables import number, value

__all__ = ["calibration_note", "choice_note", "data_note", "dicom_note", "method_note", "point_note", "robustness_note"]

Json = Mapping[str, Any]


def data_note(found: Json) -> str:
    """Return who or what was learned from and measured on."""
    data = found["data"]
    if "people" in data:
        parts = ", ".join(f"{count} {name}" for name, count in data["classes"].items())
        return f"{data['people']} people: {parts}."
    parts = "; ".join(
        f"{name} {data[name]['images']} images, {data[name]['with_finding']} with the finding"
        for name in ("train", "validation", "test")
    )
    return f"{parts}. {data['left_out']} validation images that are in train, too, were left out."


def method_note(found: Json) -> str:
    """Return how it was measured."""
    method = found["method"]
    return f"{method['how'][0].upper()}{method['how'][1:]}. Intervals: {method['intervals']}; seed {method['seed']}."


def dicom_note(found: Json) -> str:
    """Return what came of the test images as DICOM files; empty where they were not sent that way."""
    road = found.get("through_dicom")
    if not road:
        return ""
    refused = "".join(f"; {count} refused ({reason})" for reason, count in road["refused"].items())
    told = f"{road['images']} test images stored as DICOM files, read back and looked at as the function does{refused}"
    if "auroc" not in road:
        return f"{told}."
    return (
        f"{told}: AUROC {value(road['auroc'])}, accuracy {value(road['accuracy'])}; probabilities differ from those of "
        f"the arrays by at most {road['largest_difference']:.1e}."
    )


def point_note(found: Json) -> str:
    """Return what the operating point is and how it was chosen."""
    point = found.get("operating_point")
    if not point:
        return "A class is called when it has at least its threshold; the thresholds were not tuned."
    return (
        f"A film is called positive from a probability of {point['threshold']:g} on: {point['rule']}. The number is "
        "computed from validation images alone."
    )


def calibration_note(found: Json) -> str:
    """Return what calibration says, in words."""
    if "classes" in found:
        slopes = "; ".join(f"{row['name']} {value(row['calibration_slope'], 2)}" for row in found["classes"])
        return f"Calibration slopes: {slopes}. Dots: five groups of equal size; bars: 95% intervals."
    ratio = found["observed_expected_ratio"]
    high = ratio["high"] is not None and ratio["high"] < 1.0
    word = "too high on the test films, which come from elsewhere than those it was fitted to" if high else "fair"
    return (
        f"Observed over expected is {value(ratio, 2)}: the probabilities are {word}. Calibration slope "
        f"{value(found['calibration_slope'], 2)}. Dots: ten groups of equal size; bars: 95% intervals."
    )


def choice_note(found: Json) -> str:
    """Return by what rule the model was chosen, and with what result."""
    decision = found["decision"]
    return (
        f"What ships is {decision['rule']}. Better calibrated: {decision['better_calibrated']}; its log loss less the "
        f"other's is {number(decision['log_loss_difference'], 4)} (standard error "
        f"{number(decision['standard_error'], 4)}). So {decision['chosen']} ships."
    )


def robustness_note() -> str:
    """Return what the disturbances are."""
    return (
        "Each disturbance is made to the 28 x 28 pixels of every test image, with the same operating point. Pillow "
        "compresses and resamples (eight times larger by bicubic interpolation, and back). “Black and white exchanged” "
        "is what a reader would give who ignores Photometric Interpretation: it shows what goes wrong then, and that "
        "the pixels must be inverted before."
    )
