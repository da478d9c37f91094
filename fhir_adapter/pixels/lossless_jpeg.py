"""Lossless JPEG, process 14 (ITU-T T.81, annex H), which archives of the last two decades are full of.

The permissive codecs that Python has read only the discrete cosine kinds of JPEG, so this one is decoded here. Huffman
codes have no marks between them, but the distance to the next code is a function of the 16 bits at hand: it is looked
up for every bit of the stream at once, a short loop follows the distances, and all the rest is done on whole arrays.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fhir_adapter.dicomfile import DicomDamaged, DicomUnsupported
from fhir_adapter.pixels.codestream import Codestream
from fhir_adapter.pixels.prediction import reconstruct

__all__ = ["decode"]

Array = np.ndarray[Any, np.dtype[Any]]

# Bytes whose bits are looked up at once: what the arrays of a step fit into the cache with.
STEP = 32 * 1024
# Bytes that a code and the bits behind it may reach into.
REACH = 5
# No code is longer; where no code begins, the walk must still go on to be found out.
_NO_CODE = 32
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


@dataclass
class _Scan:
    """What stands before the entropy-coded bits."""

    tables: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    selected: tuple[int, ...] = ()
    interval: int = 0
    predictor: int = 1
    shift: int = 0
    start: int = 0


def decode(data: bytes, stream: Codestream) -> Array:
    """Decode one frame.

    Parameters
    ----------
    data : bytes
        The codestream.
    stream : Codestream
        Its frame header, checked.

    Returns
    -------
    numpy.ndarray, shape (rows, columns) or (rows, columns, samples), dtype uint16

    Raises
    ------
    DicomDamaged
        When it ends early, or holds what is no code.
    DicomUnsupported
        For another process than 14, one scan for each component, or an odd restart interval.
    """
    if stream.process != 0xC3:
        raise DicomUnsupported("a lossless JPEG of another process than 14")
    scan = _scan(data, stream.samples)
    if scan.interval % stream.columns:
        raise DicomUnsupported("a lossless JPEG with a restart interval that is no multiple of its columns")
    if scan.shift >= stream.precision:
        raise DicomDamaged("a lossless JPEG shifts all of its bits away")
    end = _END.search(data, scan.start)
    if end is None:
        # the zero that pads a fragment could not be told from a last code
        raise DicomDamaged("a lossless JPEG ends early")
    rows_each = scan.interval // stream.columns or stream.rows
    out = np.empty((stream.rows, stream.columns, stream.samples), np.uint16)
    parts = _parts(data, scan, end.start())
    for row in range(0, stream.rows, rows_each):
        part = next(parts, None)
        if part is None:
            raise DicomDamaged("a lossless JPEG ends early")
        taken = out[row : row + rows_each]
        # in place, for of a whole film another array is as large as the film
        _differences(part, scan, taken.reshape(-1))
        for sample in range(stream.samples):
            reconstruct(taken[:, :, sample], scan.predictor, 1 << (stream.precision - scan.shift - 1))
    if scan.shift:
        out <<= np.uint16(scan.shift)
    return out[:, :, 0] if stream.samples == 1 else out


def _parts(data: bytes, scan: _Scan, end: int) -> Iterator[bytes]:
    """Yield the entropy-coded bits between restarts, without the zeros behind bytes of ones."""
    at = scan.start
    for mark in _RESTART.finditer(data, scan.start, end) if scan.interval else ():
        yield data[at : mark.start()].replace(b"\xff\x00", b"\xff")
        at = mark.end()
    yield data[at:end].replace(b"\xff\x00", b"\xff")


def _scan(data: bytes, samples: int) -> _Scan:
    scan, at = _Scan(), 2
    while at + 4 <= len(data):
        if data[at : at + 2] == b"\xff\xff":
            at += 1
            continue
        marker, length = struct.unpack_from(">HH", data, at)
        segment = data[at + 4 : at + 2 + length]
        if length < 2 or len(segment) != length - 2:
            break
        at += 2 + length
        if marker == 0xFFC4:
            _huffman(segment, scan.tables)
        elif marker == 0xFFDD and len(segment) == 2:
            scan.interval = struct.unpack(">H", segment)[0]
        elif marker == 0xFFDA:
            return _start(segment, scan, samples, at)
    raise DicomDamaged("a lossless JPEG has no scan")


def _start(segment: bytes, scan: _Scan, samples: int, at: int) -> _Scan:
    if not segment or segment[0] != samples or len(segment) != 4 + 2 * samples:
        raise DicomUnsupported("a lossless JPEG with one scan for each component")
    scan.selected = tuple(segment[2 + 2 * number] >> 4 for number in range(samples))
    scan.predictor, scan.shift = segment[-3], segment[-1] & 15
    scan.start = at
    if not 1 <= scan.predictor <= 7 or any(table not in scan.tables for table in scan.selected):
        raise DicomDamaged("a lossless JPEG names a predictor or a table that is not there")
    return scan


def _huffman(segment: bytes, tables: dict[int, tuple[Array, Array]]) -> None:
    """Read tables (T.81, B.2.4.2 and annex C) into code length and category for every 16 bits that may follow."""
    at = 0
    while at + 17 <= len(segment):
        counts = segment[at + 1 : at + 17]
        categories = segment[at + 17 : at + 17 + sum(counts)]
        lengths, values = np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, np.uint8)
        code, used = 0, 0
        for length, count in enumerate(counts, start=1):
            for _ in range(count):
                first = code << (16 - length)
                if used >= len(categories) or categories[used] > 16 or first >= 1 << 16:
                    raise DicomDamaged("a Huffman table of a lossless JPEG contradicts itself")
                last = first + (1 << (16 - length))
                lengths[first:last], values[first:last] = length, categories[used]
                code, used = code + 1, used + 1
            code <<= 1
        tables[segment[at] & 15] = (lengths, values)
        at += 17 + used


def _differences(coded: bytes, scan: _Scan, out: Array) -> None:
    """Decode as many differences as `out` holds (T.81, H.1.2.2), modulo 65536."""
    chosen = [scan.tables[table] for table in scan.selected]
    distances = {table: _distances(*scan.tables[table]) for table in set(scan.selected)}
    count, done, at = len(out), 0, 0
    total = 8 * len(coded)
    while done < count:
        if at >= total:
            raise DicomDamaged("a lossless JPEG ends early")
        first = at >> 3
        words = _words(coded, first)
        step = words[: min(STEP, len(coded) + 3 - first)]
        looked_up = {table: _jumps(step, distances[table]) for table in distances}
        jumps = [looked_up[table] for table in scan.selected]
        visited, at = _walk(jumps, at - 8 * first, done % len(jumps), count - done)
        at += 8 * first
        for number in range(len(chosen)):
            mine = slice((number - done) % len(chosen), None, len(chosen))
            out[done : done + len(visited)][mine] = _values(words, visited[mine], chosen[number])
        done += len(visited)
    if at > total:
        raise DicomDamaged("a lossless JPEG ends early")


def _words(coded: bytes, first: int) -> Array:
    """Return the 32 bits that begin at each byte of a step, and at those that its last code may reach into."""
    wanted = min(STEP, len(coded) + 3 - first) + REACH + 3
    part = coded[first : first + wanted].ljust(wanted, b"\xff")
    source = np.frombuffer(part, np.uint8).astype(np.uint32)
    return source[:-3] << 24 | source[1:-2] << 16 | source[2:-1] << 8 | source[3:]


def _distances(lengths: Array, values: Array) -> Array:
    """Bits from one code to the next; category 16 has none of its own (T.81, table H.2)."""
    extra = np.where(values == 16, 0, values)
    return np.where(lengths == 0, _NO_CODE, lengths + extra).astype(np.uint8)


def _jumps(words: Array, distances: Array) -> bytes:
    """Return the distance to the next code from every bit."""
    shifts = np.arange(16, 8, -1, dtype=np.uint32)
    windows = (words[:, None] >> shifts) & 0xFFFF
    return distances.take(windows).tobytes()


def _walk(jumps: list[bytes], at: int, number: int, most: int) -> tuple[Array, int]:
    """Follow the distances to the end of the step; return where codes begin, and where the next one does."""
    visited: list[int] = []
    keep, end = visited.append, len(jumps[0])
    if all(table is jumps[0] for table in jumps):
        only = jumps[0]
        while at < end:
            keep(at)
            at += only[at]
    else:
        while at < end:
            keep(at)
            at += jumps[number][at]
            number = (number + 1) % len(jumps)
    if len(visited) > most:
        at = visited[most]
        del visited[most:]
    return np.array(visited, np.int64), at


def _values(words: Array, visited: Array, table: tuple[Array, Array]) -> Array:
    lengths, categories = table
    window = words[visited >> 3] >> (16 - (visited & 7)).astype(np.uint32) & 0xFFFF
    length, category = lengths[window], categories[window].astype(np.int32)
    if not length.all():
        raise DicomDamaged("a lossless JPEG holds bits that are no code")
    after = visited + length
    window = (words[after >> 3] >> (16 - (after & 7)).astype(np.uint32) & 0xFFFF).astype(np.int32)
    own = np.where(category == 16, 0, category)
    value = window >> (16 - own)
    negative = value < (1 << own >> 1)
    value = np.where(negative & (own > 0), value - (1 << own) + 1, value)
    return np.where(category == 16, 32768, np.where(own == 0, 0, value)).astype(np.uint16)
