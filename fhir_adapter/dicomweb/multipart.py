"""``multipart/related`` as it streams by (RFC 2046, 5.1; RFC 2387; DICOM PS3.18, 8.6.1.2), in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

from fhir_adapter.dicomweb.errors import ImageStoreLied
from fhir_adapter.dicomweb.limits import Limits

__all__ = ["Part", "boundary_of", "media_type_of", "parts_of"]

# RFC 2046, 5.1.1: bchars, at most 70, not ending in a space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]\Z")
_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s"]+)')
LONGEST_HEADER = 1024
MAX_PREAMBLE = MAX_EPILOGUE = 64 * 1024


@dataclass(frozen=True)
class Part:
    """One part.

    Parameters
    ----------
    headers : dict of str to str
        By lower-case name.
    body : bytes
        As it came.
    """

    headers: dict[str, str]
    body: bytes


def media_type_of(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type and the parameters of a ``Content-Type`` (RFC 9110, 8.3.1), both in lower case names.

    Servers quote parameters into ``type`` (``type="image/jp2; transfer-syntax=..."``); those are found too.
    """
    if len(value) > LONGEST_HEADER:
        raise ImageStoreLied("the server's Content-Type is too long")
    parameters: dict[str, str] = {}
    for name, raw in _PARAMETER.findall(value):
        text = re.sub(r"\\(.)", r"\1", raw[1:-1]) if raw.startswith('"') else raw
        parameters.setdefault(name.lower(), text)
        if ";" in text and name.lower() == "type":
            for inner, inside in _PARAMETER.findall(text):
                parameters.setdefault(inner.lower(), inside.strip('"'))
            parameters["type"] = text.partition(";")[0].strip()
    return value.partition(";")[0].strip().lower(), parameters


def boundary_of(content_type: str) -> str | None:
    """Return the boundary of a multipart ``Content-Type``, None when it is of another type.

    Raises
    ------
    ImageStoreLied
        It is multipart and has no valid boundary.
    """
    kind, parameters = media_type_of(content_type)
    if not kind.startswith("multipart/"):
        return None
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise ImageStoreLied("the server's multipart answer has no valid boundary (RFC 2046, 5.1.1)")
    return boundary


def parts_of(pieces: Iterable[bytes], boundary: str, limits: Limits) -> Iterator[Part]:
    """Yield the parts as they are complete; of the stream, only one part and one piece are ever held.

    Parameters
    ----------
    pieces : iterable of bytes
        The body, cut anywhere.
    boundary : str
        From :func:`boundary_of`.
    limits : Limits
        Bounds of a part and of its headers.

    Raises
    ------
    ImageStoreLied
        The body is malformed, over a bound, or ends before its closing delimiter.
    """
    reader = _Reader(iter(pieces), b"\r\n--" + boundary.encode("ascii"))
    reader.copy_until_delimiter(BytesIO(), MAX_PREAMBLE, "preamble")
    while not reader.closing():
        headers = _headers(reader.until(b"\r\n\r\n", limits.header))
        body = BytesIO()
        reader.copy_until_delimiter(body, limits.part, "part")
        yield Part(headers, body.getvalue())
    reader.drain(MAX_EPILOGUE)


def _headers(raw: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in raw.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if line and not colon:
            raise ImageStoreLied("a part of the server's multipart answer has a malformed header")
        if line:
            headers[name.strip().lower()] = value.strip()
    return headers


class _Reader:
    """Finds delimiters in a stream, also those that lie across pieces."""

    def __init__(self, pieces: Iterator[bytes], delimiter: bytes) -> None:
        self._pieces = pieces
        self._delimiter = delimiter
        # The first delimiter may stand at the very beginning; with a line break before it, it is as the others.
        self._buffer = bytearray(b"\r\n")

    def _more(self) -> None:
        for piece in self._pieces:
            if piece:
                self._buffer += piece
                return
        raise ImageStoreLied("the server's multipart answer ends before its closing delimiter")

    def copy_until_delimiter(self, body: BytesIO, limit: int, what: str) -> None:
        """Move what stands before the next delimiter, and pass over that."""
        keep, size = len(self._delimiter) - 1, 0
        while (found := self._buffer.find(self._delimiter)) < 0:
            size += self._move(body, len(self._buffer) - keep)
            self._bounded(size, limit, what)
            self._more()
        self._bounded(size + found, limit, what)
        self._move(body, found)
        del self._buffer[: len(self._delimiter)]

    def _move(self, body: BytesIO, count: int) -> int:
        if count <= 0:
            return 0
        with memoryview(self._buffer) as view:
            body.write(view[:count])
        del self._buffer[:count]
        return count

    @staticmethod
    def _bounded(size: int, limit: int, what: str) -> None:
        if size > limit:
            raise ImageStoreLied(f"a {what} of the server's multipart answer is over the limit of {limit} bytes")

    def drain(self, limit: int) -> None:
        """Read what stands behind the closing delimiter: only a connection read to its end is used again."""
        self._bounded(len(self._buffer), limit, "epilogue")
        for piece in self._pieces:
            limit -= len(piece)
            self._bounded(-limit, 0, "epilogue")

    def closing(self) -> bool:
        """Return whether the delimiter just passed is the closing one; else pass over the rest of its line."""
        while len(self._buffer) < 2:
            self._more()
        if self._buffer.startswith(b"--"):
            return True
        # RFC 2046, 5.1.1: transport padding may follow; the line break stays, as it may also end empty headers.
        padding = self._until_line_break()
        if padding.strip(b" \t"):
            raise ImageStoreLied("a delimiter of the server's multipart answer is malformed (RFC 2046, 5.1.1)")
        return False

    def _until_line_break(self) -> bytes:
        while (found := self._buffer.find(b"\r\n", 0, LONGEST_HEADER)) < 0:
            if len(self._buffer) >= LONGEST_HEADER:
                raise ImageStoreLied("a delimiter of the server's multipart answer is malformed (RFC 2046, 5.1.1)")
            self._more()
        padding = bytes(self._buffer[:found])
        del self._buffer[:found]
        return padding

    def until(self, mark: bytes, limit: int) -> bytes:
        """Return what stands before a mark, and pass over both."""
        searched = 0
        while (found := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > limit:
                raise ImageStoreLied(f"the headers of a part are over the limit of {limit} bytes")
            self._more()
        if found > limit:
            raise ImageStoreLied(f"the headers of a part are over the limit of {limit} bytes")
        text = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return text
