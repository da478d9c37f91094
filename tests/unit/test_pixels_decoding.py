"""Every transfer syntax that is read gives the samples that went in; what lies or is damaged ends in a named error."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import DicomDamaged, DicomError, DicomUnsupported, Limits, PixelLayout, read_dicom
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.pixels import SUPPORTED, PixelSpec, decode_frame, picture
from fhir_adapter.pixels.codestream import Codestream, read_jpeg, read_jpeg2000
from tests.dicoms import encapsulated, file_of, image

Array = np.ndarray[Any, np.dtype[Any]]


def smooth(rows: int = 40, columns: int = 60, bits: int = 12) -> Array:
    down, across = np.mgrid[:rows, :columns]
    picture = np.sin(down / 9) * np.cos(across / 11) + np.random.default_rng(1).normal(0, 0.02, (rows, columns))
    scaled = (picture - picture.min()) / np.ptp(picture) * ((1 << bits) - 1)
    return np.rint(scaled).astype(np.uint8 if bits == 8 else np.uint16)


def coloured(rows: int = 40, columns: int = 60) -> Array:
    return np.stack([smooth(rows, columns, 8), smooth(rows, columns, 8)[::-1], smooth(rows, columns, 8)[:, ::-1]], 2)


def decoded(dataset: Dataset, frame: int = 0) -> Array:
    read = read_dicom(file_of(dataset))
    return decode_frame(read, PixelLayout.of(read, Limits()), frame).samples


def j2k(pixels: Array, bits: int, lossy: bool = False) -> bytes:
    from openjpeg.utils import encode_array

    colour = 1 if pixels.ndim == 3 else 2
    more: dict[str, Any] = {"compression_ratios": [10]} if lossy else {}
    return bytes(encode_array(pixels, bits_stored=bits, photometric_interpretation=colour, use_mct=False, **more))


def jpeg(pixels: Array, **options: Any) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def jls(pixels: Array, near: int = 0) -> bytes:
    import jpeg_ls

    return bytes(jpeg_ls.encode_array(pixels, lossy_error=near, interleave_mode=2 if pixels.ndim == 3 else None))


# ---- lossless JPEG, written the slow way (T.81, annex H) ----


def predictions(pixels: Array, predictor: int, start: int) -> Array:
    padded = pixels.astype(np.int64)
    out = np.empty_like(padded)
    for (row, column), _ in np.ndenumerate(padded):
        left = padded[row, column - 1] if column else 0
        above = padded[row - 1, column] if row else 0
        corner = padded[row - 1, column - 1] if row and column else 0
        if row == 0:
            out[row, column] = left if column else start
        elif column == 0:
            out[row, column] = above
        else:
            out[row, column] = (
                left,
                above,
                corner,
                left + above - corner,
                left + ((above - corner) >> 1),
                above + ((left - corner) >> 1),
                (left + above) >> 1,
            )[predictor - 1]
    return out


def bits_of(differences: Array) -> Iterator[tuple[int, int]]:
    """Value and length of the code and the bits after it: categories 0 to 14 in 4 bits, 15 and 16 in 5."""
    for difference in differences:
        value = (int(difference) + 32768) % 65536 - 32768
        if value == -32768:
            yield 0b11111, 5
            continue
        category = abs(value).bit_length()
        yield (category, 4) if category < 15 else (0b11110, 5)
        if category:
            yield (value if value > 0 else value + (1 << category) - 1), category


def lossless_jpeg(pixels: Array, bits: int, predictor: int = 1, restart: int = 0, shift: int = 0) -> bytes:
    planes = (pixels[:, :, None] if pixels.ndim == 2 else pixels).astype(np.int64) >> shift
    rows, columns, samples = planes.shape
    table = bytes([0, 0, 0, 15, 2, *[0] * 11]) + bytes(range(17))
    components = b"".join(bytes([number + 1, 0x11, 0]) for number in range(samples))
    head = b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB", 8 + 3 * samples, bits, rows, columns, samples) + components
    head += b"\xff\xc4" + struct.pack(">HB", 3 + len(table), 0) + table
    if restart:
        head += b"\xff\xdd" + struct.pack(">HH", 4, restart * columns)
    selected = b"".join(bytes([number + 1, 0]) for number in range(samples))
    head += b"\xff\xda" + struct.pack(">HB", 6 + 2 * samples, samples) + selected + bytes([predictor, 0, shift])
    parts = []
    for first in range(0, rows, restart or rows):
        part = planes[first : first + (restart or rows)]
        start = 1 << (bits - shift - 1)
        different = np.stack(
            [part[:, :, number] - predictions(part[:, :, number], predictor, start) for number in range(samples)], 2
        )
        text = "".join(format(value, f"0{length}b") for value, length in bits_of(different.reshape(-1)))
        text += "1" * (-len(text) % 8)
        packed = int(text, 2).to_bytes(len(text) // 8, "big")
        parts.append(packed.replace(b"\xff", b"\xff\x00"))
    body = parts[0] + b"".join(bytes([0xFF, 0xD0 + (n % 8)]) + part for n, part in enumerate(parts[1:]))
    return head + body + b"\xff\xd9"


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_jpeg(predictor: int, bits: int) -> None:
    pixels = smooth(bits=bits)
    pixels[3, 4] = 0
    pixels[3, 5] = (1 << bits) - 1
    frame = lossless_jpeg(pixels, bits, predictor)
    syntax = uid.JPEGLosslessSV1 if predictor == 1 else uid.JPEGLossless
    found = decoded(encapsulated([frame], syntax, image(pixels, BitsStored=bits)))
    assert np.array_equal(found, pixels)


def test_lossless_jpeg_in_colour_with_restarts_and_a_point_transform() -> None:
    colour = coloured()
    dataset = image(colour, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert np.array_equal(decoded(encapsulated([lossless_jpeg(colour, 8)], uid.JPEGLosslessSV1, dataset)), colour)
    pixels = smooth()
    restarted = lossless_jpeg(pixels, 12, predictor=7, restart=8)
    assert np.array_equal(decoded(encapsulated([restarted], uid.JPEGLossless, image(pixels))), pixels)
    shifted = lossless_jpeg(pixels, 12, shift=2)
    assert np.array_equal(decoded(encapsulated([shifted], uid.JPEGLosslessSV1, image(pixels))), pixels >> 2 << 2)


def test_lossless_jpeg_of_noise_reaches_every_category() -> None:
    pixels = np.random.default_rng(9).integers(0, 65536, (30, 50)).astype(np.uint16)
    pixels[0, 0] = 0
    frame = lossless_jpeg(pixels, 16, 1)
    assert np.array_equal(decoded(encapsulated([frame], uid.JPEGLosslessSV1, image(pixels, BitsStored=16))), pixels)


def test_lossless_jpeg_cut_or_altered_ends_in_an_error_or_in_samples() -> None:
    pixels = smooth(20, 20)
    whole = lossless_jpeg(pixels, 12)
    rng = np.random.default_rng(11)
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(0, 256)
        try:
            found = decoded(encapsulated([bytes(data)], uid.JPEGLosslessSV1, image(pixels)))
        except DicomError:
            continue
        assert found.shape == pixels.shape
    with pytest.raises(DicomDamaged, match="ends early"):
        decoded(encapsulated([whole[: len(whole) // 2]], uid.JPEGLosslessSV1, image(pixels)))


# ---- the others ----


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless])
def test_lossless_syntaxes(syntax: str, bits: int) -> None:
    pixels = smooth(bits=bits)
    dataset = image(pixels, BitsStored=bits)
    if syntax == uid.RLELossless:
        dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
    else:
        frame = j2k(pixels, bits) if syntax == uid.JPEG2000Lossless else jls(pixels)
        encapsulated([frame], syntax, dataset)
    assert np.array_equal(decoded(dataset), pixels)


@pytest.mark.parametrize("syntax", [uid.JPEG2000, uid.JPEGLSNearLossless, uid.JPEGBaseline8Bit])
def test_lossy_syntaxes(syntax: str) -> None:
    pixels = smooth(bits=8)
    frame = {
        uid.JPEG2000: lambda: j2k(pixels, 8, lossy=True),
        uid.JPEGLSNearLossless: lambda: jls(pixels, near=3),
        uid.JPEGBaseline8Bit: lambda: jpeg(pixels),
    }[syntax]()
    found = decoded(encapsulated([frame], syntax, image(pixels)))
    assert np.abs(found.astype(int) - pixels).max() < 24
    assert np.abs(found.astype(int) - pixels).mean() < 4


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless])
def test_colour_in_lossless_syntaxes(syntax: str) -> None:
    colour = coloured()
    dataset = image(colour, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    if syntax == uid.RLELossless:
        dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
    else:
        encapsulated([j2k(colour, 8) if syntax == uid.JPEG2000Lossless else jls(colour)], syntax, dataset)
    assert np.array_equal(decoded(dataset), colour)


@pytest.mark.parametrize("cut", [3, 10, 100, 1500])
def test_a_codestream_that_is_cut_gives_no_half_picture(cut: int) -> None:
    pixels = smooth(bits=8)
    for frame, syntax in (
        (j2k(pixels, 8), uid.JPEG2000Lossless),
        (jpeg(pixels), uid.JPEGBaseline8Bit),
        (jls(pixels), uid.JPEGLSLossless),
        (lossless_jpeg(pixels, 8), uid.JPEGLosslessSV1),
    ):
        with pytest.raises(DicomDamaged):
            decoded(encapsulated([frame[: max(len(frame) - cut, 4)]], syntax, image(pixels)))


@pytest.mark.parametrize("table", [True, False])
def test_frames_in_fragments(table: bool) -> None:
    pixels = np.stack([smooth(bits=8), smooth(bits=8)[::-1], smooth(bits=8)[:, ::-1]])
    dataset = image(pixels)
    encapsulated([jls(frame) for frame in pixels], uid.JPEGLSLossless, dataset, table)
    for number in range(3):
        assert np.array_equal(decoded(dataset, number), pixels[number])
    read = read_dicom(file_of(dataset))
    with pytest.raises(ConfigurationError, match="no such frame"):
        picture(read, PixelSpec(), 3)


def test_frames_that_span_fragments() -> None:
    from pydicom.encaps import encapsulate

    pixels = np.stack([smooth(bits=8), smooth(bits=8)[::-1]])
    frames = [jls(frame) for frame in pixels]
    for table in (True, False):
        dataset = encapsulated(frames, uid.JPEGLSLossless, image(pixels))
        dataset.PixelData = encapsulate(frames, fragments_per_frame=3, has_bot=table)
        assert np.array_equal(decoded(dataset, 1), pixels[1])


def test_an_extended_offset_table() -> None:
    from pydicom.encaps import encapsulate_extended

    pixels = np.stack([smooth(bits=8), smooth(bits=8)[::-1]])
    dataset = encapsulated([b"1"], uid.JPEGLSLossless, image(pixels))
    data, offsets, lengths = encapsulate_extended([jls(frame) for frame in pixels])
    dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = data, offsets, lengths
    assert np.array_equal(decoded(dataset, 1), pixels[1])
    dataset.ExtendedOffsetTable = struct.pack("<QQ", 0, 3)
    with pytest.raises(DicomDamaged, match="extended"):
        decoded(dataset, 1)


def test_tables_and_fragments_that_lie() -> None:
    pixels = np.stack([smooth(bits=8), smooth(bits=8)[::-1]])
    dataset = encapsulated([jls(frame) for frame in pixels], uid.JPEGLSLossless, image(pixels))
    data = dataset.PixelData
    for change in (
        data[:12] + struct.pack("<I", 77) + data[16:],
        data[:4] + struct.pack("<I", 7) + data[8:],
        data[:20] + b"\xff\xff\xff\x7f" + data[24:],
    ):
        dataset.PixelData = change
        with pytest.raises(DicomDamaged):
            decoded(dataset, 1)


@pytest.mark.parametrize("field", range(3))
def test_a_codestream_that_claims_more_than_the_data_set(field: int) -> None:
    pixels = smooth(bits=8)
    jpeg2000, baseline, near = bytearray(j2k(pixels, 8)), bytearray(jpeg(pixels)), bytearray(jls(pixels))
    struct.pack_into(">I", jpeg2000, 8 + 4 * (field % 2), 60_000)
    for data, marker in ((baseline, b"\xff\xc0"), (near, b"\xff\xf7")):
        struct.pack_into(">H", data, data.find(marker) + 5 + 2 * (field % 2), 60_000)
    for data, syntax in (
        (jpeg2000, uid.JPEG2000Lossless),
        (baseline, uid.JPEGBaseline8Bit),
        (near, uid.JPEGLSLossless),
    ):
        with pytest.raises(DicomDamaged, match="rows, columns"):
            decoded(encapsulated([bytes(data)], syntax, image(pixels)))


def test_a_jpeg_2000_codestream_of_a_million_tiles() -> None:
    data = bytearray(j2k(smooth(400, 400, 8), 8))
    struct.pack_into(">II", data, 24, 1, 1)
    with pytest.raises(DicomDamaged, match="tiles"):
        read_jpeg2000(bytes(data))


@pytest.mark.parametrize("count", [0, 3, 15])
def test_rle_segments_that_lie(count: int) -> None:
    dataset = image(smooth())
    dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
    data = dataset.PixelData
    dataset.PixelData = data[:24] + struct.pack("<I", count) + data[28:]
    with pytest.raises(DicomDamaged):
        decoded(dataset)


def test_what_is_not_read_is_refused_by_name() -> None:
    pixels = smooth(bits=8)
    with pytest.raises(DicomUnsupported, match="MPEG2"):
        decoded(encapsulated([b"\0" * 10], uid.MPEG2MPML, image(pixels)))
    with pytest.raises(DicomUnsupported, match="12 bits"):
        twelve = b"\xff\xd8\xff\xc1" + struct.pack(">HBHHB", 11, 12, 40, 60, 1) + b"\1\x11\0"
        decoded(encapsulated([twelve], uid.JPEGExtended12Bit, image(smooth())))
    assert uid.MPEG2MPML not in SUPPORTED
    assert uid.JPEGLosslessSV1 in SUPPORTED


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\xff\xd8\0\0\0\0", b"\xff\xd8\xff\xc0\0\x04\x08\0", b"\x89PNG\r\n"],
)
def test_what_is_no_codestream(data: bytes) -> None:
    for read in (read_jpeg, read_jpeg2000):
        with pytest.raises(DicomDamaged):
            read(data)
    for syntax in (uid.JPEGBaseline8Bit, uid.JPEGLSLossless, uid.JPEG2000, uid.RLELossless, uid.JPEGLosslessSV1):
        with pytest.raises(DicomDamaged):
            decoded(encapsulated([data + b"\0" * 8], syntax, image(smooth(bits=8))))


def test_markers_before_the_frame_header() -> None:
    adobe = b"\xff\xee" + struct.pack(">H", 14) + b"Adobe" + bytes(6) + b"\2"
    header = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 4, 6, 3) + b"R\x11\0G\x11\0B\x11\0"
    found = read_jpeg(b"\xff\xd8\xff\xff" + adobe[1:] + header)
    assert found == Codestream(4, 6, 3, 8, 0xC0, components=(82, 71, 66), adobe=2)


# ---- colour ----


def channels(dataset: Dataset, count: int = 3) -> Array:
    return picture(read_dicom(file_of(dataset)), PixelSpec(channels=count)).tensor


@pytest.mark.parametrize("planar", [0, 1])
def test_planes_or_pixels(planar: int) -> None:
    colour = coloured()
    dataset = image(colour, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=planar)
    if planar:
        dataset.PixelData = colour.transpose(2, 0, 1).tobytes()
    assert np.allclose(channels(dataset), colour.transpose(2, 0, 1) / 255, atol=1e-6)
    luma = colour @ [0.299, 0.587, 0.114] / 255
    assert np.allclose(channels(dataset, 1)[0], luma, atol=1e-6)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_luminance_and_chrominance(photometric: str) -> None:
    from pydicom.pixels import convert_color_space

    colour = np.repeat(coloured()[:, ::2], 2, axis=1)
    ybr = convert_color_space(colour, "RGB", "YBR_FULL")
    dataset = image(colour, SamplesPerPixel=3, PhotometricInterpretation=photometric, PlanarConfiguration=0)
    shared = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=2)
    dataset.PixelData = (ybr if photometric == "YBR_FULL" else shared).tobytes()
    assert np.abs(channels(dataset) * 255 - colour.transpose(2, 0, 1)).max() < 2


def test_colour_in_baseline_jpeg() -> None:
    from PIL import Image

    colour = np.asarray(Image.fromarray(smooth(bits=8)).convert("RGB")).copy()
    colour[:, :30, 0] //= 2
    frame = jpeg(colour, subsampling=0)
    dataset = image(colour, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)
    found = channels(encapsulated([frame], uid.JPEGBaseline8Bit, dataset))
    theirs = np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")).transpose(2, 0, 1)
    assert np.abs(found * 255 - theirs).max() < 2


@pytest.mark.parametrize("packed", [True, False])
def test_a_palette(packed: bool) -> None:
    indices = np.arange(240, dtype=np.uint8).reshape(12, 20)
    dataset = image(indices, PhotometricInterpretation="PALETTE COLOR")
    table = np.random.default_rng(4).integers(0, 256, (3, 200)).astype(np.uint8)
    for colour, entries in zip(("Red", "Green", "Blue"), table, strict=True):
        name = f"{colour}PaletteColorLookupTable"
        setattr(dataset, f"{name}Descriptor", [200, 10, 8 if packed else 16])
        setattr(dataset, f"{name}Data", entries.tobytes() if packed else (entries.astype("<u2") * 257).tobytes())
    expected = table[:, np.clip(indices.astype(int) - 10, 0, 199)] / 255
    assert np.allclose(channels(dataset), expected, atol=1e-6)
    del dataset.RedPaletteColorLookupTableData
    dataset.SegmentedRedPaletteColorLookupTableData = b"\0\0"
    with pytest.raises(DicomUnsupported, match="segmented"):
        channels(dataset)


def test_bytes_that_big_endian_swapped() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    dataset = image(pixels, transfer_syntax=uid.ExplicitVRBigEndian)
    dataset.PixelData = pixels.reshape(-1, 2)[:, ::-1].tobytes()
    dataset["PixelData"].VR = "OW"
    assert np.array_equal(decoded(dataset), pixels)


def test_a_jpeg_ls_codestream_without_its_end_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """CharLS decodes past a missing end for many seconds before it finds that there is nothing."""
    import jpeg_ls

    given: list[bytes] = []
    decode = jpeg_ls.decode_pixel_data

    def seen(data: bytes) -> Any:
        given.append(bytes(data))
        return decode(data)

    monkeypatch.setattr(jpeg_ls, "decode_pixel_data", seen)
    pixels = smooth()
    whole = jls(pixels)
    for stream in (whole, whole + b"\0\0"):
        assert np.array_equal(decoded(encapsulated([stream], uid.JPEGLSLossless, image(pixels))), pixels)
    for stream in (whole[:-2], whole[:-2] + b"\0\0", whole[:-1], whole[: len(whole) // 2], whole[:-1] + b"\xda"):
        with pytest.raises(DicomDamaged, match="no end"):
            decoded(encapsulated([stream], uid.JPEGLSLossless, image(pixels)))
    assert len(given) == 2
