"""Modality and VOI transformations, padding, inversion: against the formulas of the standard, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from fhir_adapter.dicomfile import DicomDamaged, DicomUnsupported, Limits, read_dicom
from fhir_adapter.pixels import Picture, PixelSpec, Window, picture, pictures
from tests.dicoms import CT, file_of, image

Array = np.ndarray[Any, np.dtype[Any]]
NATIVE = PixelSpec()
VALUES = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def shown(dataset: Dataset, spec: PixelSpec = NATIVE, frame: int = 0) -> Picture:
    return picture(read_dicom(file_of(dataset)), spec, frame)


def lut(first: int, entries: list[int], bits: int = 16) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first & 0xFFFF, bits])
    item.add_new(0x00283006, "US", entries)
    return item


def window_of(values: Array, center: float, width: float) -> Array:
    """PS3.3, C.11.2.1.2.1, as it is printed there."""
    inside = ((values - (center - 0.5)) / (width - 1) + 0.5) if width > 1 else values
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    return np.where(values <= low, 0, np.where(values > high, 1, inside))


@pytest.mark.parametrize(("center", "width"), [(2000, 1000), (2000.5, 1), (0, 4096), (5000, 10), (1234.5, 77.7)])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -1024), (-2, 100)])
def test_a_linear_window(center: float, width: float, slope: float, intercept: float) -> None:
    dataset = image(
        VALUES, WindowCenter=center, WindowWidth=width, RescaleSlope=slope, RescaleIntercept=intercept, BitsStored=12
    )
    expected = window_of(VALUES * float(slope) + intercept, center, width)
    found = shown(dataset)
    assert np.allclose(found.tensor[0], expected, atol=2e-6 * max(1, 4096 / width))
    assert (found.source, found.inverted, found.tensor.dtype) == ("file", False, np.float32)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions(function: str) -> None:
    dataset = image(VALUES, WindowCenter=2000, WindowWidth=500, VOILUTFunction=function)
    expected = apply_voi_lut(VALUES, dataset) / 4095
    assert np.allclose(shown(dataset).tensor[0], expected, atol=1e-5)


def test_the_first_of_several_windows() -> None:
    dataset = image(VALUES, WindowCenter=[100, 2000], WindowWidth=[50, 500])
    assert shown(dataset).window == pytest.approx((75, 124))


@pytest.mark.parametrize(("center", "width"), [(100, 0), (100, 0.5), ([], [])])
def test_a_window_that_is_none(center: Any, width: Any) -> None:
    dataset = image(VALUES, WindowCenter=center, WindowWidth=width)
    if center == []:
        assert shown(dataset).source == "percentile"
        return
    with pytest.raises(DicomDamaged, match="WindowWidth"):
        shown(dataset)


def test_monochrome1_is_turned_over() -> None:
    plain = image(VALUES, WindowCenter=2048, WindowWidth=4096)
    turned = image(VALUES, WindowCenter=2048, WindowWidth=4096, PhotometricInterpretation="MONOCHROME1")
    found = shown(turned)
    assert found.inverted
    assert np.allclose(found.tensor, 1 - shown(plain).tensor, atol=1e-6)
    units = PixelSpec(intensity="modality")
    assert np.array_equal(shown(turned, units).tensor, shown(plain, units).tensor)


@pytest.mark.parametrize("signed", [True, False])
def test_stored_bits_between_others(signed: bool) -> None:
    """High Bit 13 of 12 stored: two bits below and two above that may hold anything (PS3.5, 8.1.1)."""
    values = np.arange(-2048, 2048, dtype=np.int16) if signed else np.arange(4096, dtype=np.int16)
    packed = (((values.astype(np.int32) & 0xFFF) << 2) | 0xC003).astype(np.uint16).reshape(64, 64)
    dataset = image(packed, HighBit=13, PixelRepresentation=int(signed))
    found = shown(dataset, PixelSpec(intensity="modality"))
    assert np.array_equal(found.tensor[0].reshape(-1), values)


def test_signed_and_in_hounsfield_units() -> None:
    values = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    dataset = image(values, SOPClassUID=CT, RescaleSlope=2, RescaleIntercept=-1024, BitsStored=16)
    found = shown(dataset, PixelSpec(intensity="modality"))
    assert np.array_equal(found.tensor[0], values * 2.0 - 1024)
    clipped = shown(dataset, PixelSpec(intensity="modality", clip=(-1000, 1000), range=(-1, 1)))
    assert np.allclose(clipped.tensor[0], np.clip((values * 2.0 - 1024) / 1000, -1, 1), atol=1e-6)


def test_a_modality_table_and_a_voi_table() -> None:
    entries = [int(value) for value in np.random.default_rng(3).integers(0, 4096, 4096)]
    dataset = image(VALUES, ModalityLUTSequence=[lut(0, entries)], VOILUTSequence=[lut(100, list(range(3000)))])
    dataset.ModalityLUTSequence[0].ModalityLUTType = "US"
    expected = apply_voi_lut(apply_modality_lut(VALUES, dataset), dataset) / 65535
    found = shown(dataset)
    assert np.allclose(found.tensor[0], expected, atol=1e-6)
    assert found.source == "lut"
    assert np.array_equal(shown(dataset, PixelSpec(intensity="modality")).tensor[0], np.array(entries).reshape(64, 64))


def test_a_voi_table_from_below_zero() -> None:
    dataset = image(VALUES, RescaleSlope=1, RescaleIntercept=-2000, VOILUTSequence=[lut(-1000, list(range(2000)))])
    expected = np.clip(VALUES.astype(float) - 2000 + 1000, 0, 1999) / 65535
    assert np.allclose(shown(dataset).tensor[0], expected, atol=1e-6)


@pytest.mark.parametrize(("descriptor", "data"), [([5, 0, 16], [1, 2]), ([5, 0], [1] * 5), ([5, 0, 3], [1] * 5)])
def test_a_table_that_is_none(descriptor: list[int], data: list[int]) -> None:
    item = Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, "US", data)
    with pytest.raises(DicomDamaged):
        shown(image(VALUES, VOILUTSequence=[item]))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [0, 4095, 2000])
def test_padding_is_black_whatever_it_holds(photometric: str, value: int) -> None:
    pixels = VALUES.copy()
    pixels[:8] = value
    dataset = image(
        pixels, WindowCenter=2048, WindowWidth=3000, PhotometricInterpretation=photometric, PixelPaddingValue=value
    )
    found = shown(dataset).tensor[0]
    assert not found[:8].any()
    plain = image(VALUES, WindowCenter=2048, WindowWidth=3000, PhotometricInterpretation=photometric)
    elsewhere = VALUES[8:] != value
    assert np.array_equal(found[8:][elsewhere], shown(plain).tensor[0][8:][elsewhere])


def test_a_range_of_padding_in_units() -> None:
    values = np.full((16, 16), 100, np.int16)
    values[:4], values[4:6] = -2000, -1990
    dataset = image(values, BitsStored=16, PixelPaddingValue=-2000, RescaleIntercept=-24, RescaleSlope=1)
    dataset.add_new(0x00280121, "SS", -1980)
    found = shown(dataset, PixelSpec(intensity="modality")).tensor[0]
    assert np.array_equal(found, np.full((16, 16), 76.0))


def test_percentiles_where_the_file_has_no_window() -> None:
    pixels = VALUES.copy()
    pixels[0] = 0
    found = shown(image(pixels, PixelPaddingValue=0), PixelSpec(fallback=(1, 99)))
    low, high = np.percentile(VALUES[1:], (1, 99))
    assert found.source == "percentile"
    assert found.window == pytest.approx((low, high))
    with pytest.raises(DicomUnsupported, match="no window"):
        shown(image(pixels), PixelSpec(fallback=None))


def test_the_contract_may_want_percentiles_whatever_the_file_says() -> None:
    dataset = image(VALUES, WindowCenter=100, WindowWidth=10, VOILUTSequence=[lut(0, [1, 2, 3])])
    found = shown(dataset, PixelSpec(window="percentiles", fallback=(0, 100), range=(-1, 1)))
    assert found.source == "percentile"
    assert found.window == pytest.approx((VALUES.min(), VALUES.max()))
    assert (found.tensor.min(), found.tensor.max()) == pytest.approx((-1, 1))


def test_a_flat_picture_has_no_window_and_no_infinity() -> None:
    for value in (0, 7):
        found = shown(image(np.full((8, 8), value, np.uint16))).tensor
        assert np.isfinite(found).all()
        assert not found.any()
    assert np.isfinite(shown(image(np.full((8, 8), 7, np.uint16), PixelPaddingValue=7)).tensor).all()


def test_the_contract_has_the_last_word() -> None:
    dataset = image(VALUES, WindowCenter=100, WindowWidth=10, VOILUTSequence=[lut(0, [1, 2, 3])])
    found = shown(dataset, PixelSpec(window=Window(2000, 1000)))
    assert found.source == "contract"
    assert np.allclose(found.tensor[0], window_of(VALUES.astype(float), 2000, 1000), atol=1e-5)


def test_raw_values_over_the_bits_stored() -> None:
    assert np.allclose(shown(image(VALUES), PixelSpec(intensity="raw")).tensor[0], VALUES / 4095, atol=1e-6)
    signed = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    expected = (signed.astype(float) + 128) / 255
    assert np.allclose(shown(image(signed), PixelSpec(intensity="raw")).tensor[0], expected, atol=1e-6)


@pytest.mark.parametrize("slope", [0, float("nan"), float("inf")])
def test_a_slope_that_is_none(slope: float) -> None:
    data = file_of(image(VALUES, RescaleSlope="1234567 ", RescaleIntercept=0))
    text = {0: b"0.000000"}.get(slope, str(slope).encode().ljust(8))
    with pytest.raises(DicomDamaged):
        picture(read_dicom(data.replace(b"1234567 ", text)), NATIVE)


def test_groups_of_each_frame() -> None:
    pixels = np.stack([VALUES, VALUES]).astype(np.uint16)
    dataset = image(pixels, BitsStored=16)
    shared, frames = Dataset(), []
    for slope, center in ((1, 100), (2, 4000)):
        frame, transformation, voi = Dataset(), Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = slope, -10, "US"
        voi.WindowCenter, voi.WindowWidth = center, 200
        frame.PixelValueTransformationSequence, frame.FrameVOILUTSequence = [transformation], [voi]
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    found = list(pictures(read_dicom(file_of(dataset)), NATIVE, Limits()))
    assert [item.frame for item in found] == [0, 1]
    for number, (slope, center) in enumerate(((1, 100), (2, 4000))):
        assert np.allclose(found[number].tensor[0], window_of(VALUES * float(slope) - 10, center, 200), atol=1e-5)
    del dataset.PerFrameFunctionalGroupsSequence[1]
    with pytest.raises(DicomDamaged, match="fewer items"):
        shown(dataset, NATIVE, 1)


def test_floating_point_pixels() -> None:
    dataset = image()
    values = np.linspace(-1, 1, 48, dtype=np.float32).reshape(6, 8)
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = values.tobytes()
    assert np.array_equal(shown(dataset, PixelSpec(intensity="modality")).tensor[0], values)


def test_single_bits() -> None:
    bits = np.random.default_rng(2).integers(0, 2, (3, 5, 7)).astype(np.uint8)
    dataset = image(bits, BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PixelData = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    for frame in range(3):
        found = shown(dataset, PixelSpec(intensity="raw"), frame)
        assert np.array_equal(found.tensor[0], bits[frame])


def test_size_fit_normalisation_and_channels() -> None:
    pixels = np.full((40, 80), 4095, np.uint16)
    whole = {"WindowCenter": 2048, "WindowWidth": 4096}
    spec = PixelSpec(size=(20, 20), mean=(0.5, 0.25, 0.0), std=(0.5,), channels=3)
    found = shown(image(pixels, **whole), spec)
    assert found.tensor.shape == (3, 20, 20)
    assert np.allclose(found.tensor[:, 10, 10], [1.0, 1.5, 2.0], atol=1e-5)
    padded = shown(image(pixels, **whole), PixelSpec(size=(20, 20), fit="pad", range=(-1, 1)))
    assert padded.placed == (5, 0, 10, 20)
    assert np.allclose(padded.tensor[0, :5], -1)
    assert np.allclose(padded.tensor[0, 5:15], 1, atol=1e-5)
    pixels[:, :20] = 0
    cropped = shown(image(pixels, **whole), PixelSpec(size=(20, 20), fit="crop"))
    assert cropped.area == (0, 20, 40, 40)
    assert np.allclose(cropped.tensor, 1, atol=1e-5)


def test_resizing_first_or_last_is_the_same() -> None:
    """Scale and offset come after resizing: that must not change what comes out."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 4096, (300, 200)).astype(np.uint16)
    dataset = image(pixels, WindowCenter=2000, WindowWidth=1500, PhotometricInterpretation="MONOCHROME1")
    small = shown(dataset, PixelSpec(size=(32, 32))).tensor
    from fhir_adapter.pixels.resize import resize

    large = shown(dataset).tensor
    other = resize(lambda first, last: large[:, first:last], 1, (300, 200), (32, 32), "bilinear")
    assert np.abs(small - other).max() < 1e-5


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("width", [1000, 1001.5])
def test_what_unused_bits_hold_does_not_count(signed: bool, width: float) -> None:
    """Rows with and without them take different ways through the same values, in a window of whole numbers or not."""
    values = np.random.default_rng(3).integers(0, 4096, (200, 1500), dtype=np.uint16)
    dirty = values.copy()
    dirty[::2] |= 0x7000
    tensors = [
        shown(
            image(
                pixels,
                BitsStored=12,
                HighBit=11,
                PixelRepresentation=int(signed),
                WindowCenter=1000,
                WindowWidth=width,
                PixelPaddingValue=5,
            ),
            PixelSpec(size=(20, 150), filter="area"),
        ).tensor
        for pixels in (values, dirty)
    ]
    assert np.array_equal(*tensors)
    meant = np.where(values >= 2048, values.astype(int) - 4096, values) if signed else values.astype(int)
    expected = np.where(meant == 5, 0, window_of(meant, 1000, width))
    assert np.allclose(tensors[0][0], expected.reshape(20, 10, 150, 10).mean(axis=(1, 3)), atol=1e-5)
