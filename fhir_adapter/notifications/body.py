"""Bytes to a resource, without letting a small body become a large one, or a deep one."""

from __future__ import annotations

import re
import zlib
from typing import Any

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification, NotificationTooLarge

__all__ = ["MAX_BODY", "MAX_DEPTH", "check_media_type", "decode_body", "parse_json", "parse_object"]

MAX_BODY = 1_048_576
MAX_DEPTH = 64

_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
# A backslash that is itself escaped makes the rest plain text.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NOT_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def check_media_type(content_type: str) -> None:
    """Refuse a body declared as anything but JSON in UTF-8 (FHIR R4 http.html#mime-type).

    Parameters
    ----------
    content_type : str
        Content-Type; empty when the sender names none. Its fhirVersion and other parameters do not matter.

    Raises
    ------
    MalformedNotification
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and not media_type.endswith(("/json", "+json", "/json+fhir")):
        raise MalformedNotification("the Content-Type is not supported; send application/fhir+json")
    charset = _CHARSET.search(content_type)
    if charset and charset.group(1).lower() not in ("utf-8", "utf8", "us-ascii"):
        raise MalformedNotification("the charset is not supported; FHIR JSON is UTF-8")


def decode_body(body: bytes, encoding: str, limit: int = MAX_BODY) -> bytes:
    """Undo a gzip content coding without letting a small body grow past the limit.

    Raises
    ------
    NotificationTooLarge
        When the body, coded or decoded, is over the limit.
    MalformedNotification
        When the coding is unknown or broken.
    """
    if len(body) > limit:
        raise NotificationTooLarge(f"the body is over the limit of {limit} bytes")
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip"):
        raise MalformedNotification("the Content-Encoding is not supported; send identity or gzip")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedNotification("the body is not gzip, as its Content-Encoding says") from None
    if len(plain) > limit:
        raise NotificationTooLarge(f"the body inflates over the limit of {limit} bytes")
    if not inflater.eof:
        raise MalformedNotification("the gzip body is cut short")
    if inflater.unused_data:
        raise MalformedNotification("something follows the gzip body")
    return plain


def parse_json(body: bytes, depth: int = MAX_DEPTH) -> Json:
    """Parse a resource, refusing what is not one (FHIR R4 json.html).

    Raises
    ------
    MalformedNotification
        As :func:`parse_object`, or no resourceType.
    """
    parsed = parse_object(body, depth)
    if not isinstance(parsed.get("resourceType"), str):
        raise MalformedNotification("the body is not a FHIR resource: resourceType is missing")
    return parsed


def parse_object(body: bytes, depth: int = MAX_DEPTH) -> Json:
    """Parse a JSON object, refusing what could not be stored or walked.

    orjson itself refuses what is not UTF-8 (overlong forms, lone surrogates), a byte-order mark and raw control
    characters; of duplicate keys the last counts.

    Raises
    ------
    MalformedNotification
        Not JSON, nested deeper than `depth`, a NUL character, or no object.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedNotification(f"the body is not JSON (line {error.lineno}, column {error.colno})") from None
    if not _surely_within(body, depth) and not _within(parsed, depth):
        raise MalformedNotification(f"the body is nested deeper than {depth} levels")
    if b"\\" in body and _ESCAPED_NUL.search(body):
        raise MalformedNotification("the body holds a NUL character, which no FHIR string may")
    if not isinstance(parsed, dict):
        raise MalformedNotification("the body is not a JSON object")
    return parsed


def _surely_within(body: bytes, depth: int) -> bool:
    """Whether the brackets alone show that valid JSON is no deeper; False when brackets in texts blur the picture.

    Every pass takes away the innermost pairs, so `depth` passes empty what is `depth` deep. Ten times as fast as
    walking the parsed tree, which is done only when this cannot tell.
    """
    brackets = body.translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return True
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == before:
            return False
    return not brackets


def _within(parsed: Any, depth: int) -> bool:
    level: list[Any] = [parsed]
    for _ in range(depth):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return True
    return False
