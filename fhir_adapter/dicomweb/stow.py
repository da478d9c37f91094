"""Storing: batches of a bounded size, each as one multipart body, and what the server says of them (PS3.18, 10.5)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.errors import NotAnInstance
from fhir_adapter.dicomweb.header import read_header
from fhir_adapter.dicomweb.outcome import StoreFailure, StoreOutcome
from fhir_adapter.dicomweb.rows import items_of, number_of, text_of
from fhir_adapter.dicomweb.uids import InstancePath

__all__ = ["StoreBody", "batches", "outcome_of"]

Instance = tuple[InstancePath, bytes]
MANY = 100


def batches(instances: Iterable[bytes], size: int) -> Iterator[list[Instance]]:
    """Yield instances in batches of at most `size` bytes (a larger one alone) and `MANY` instances.

    Raises
    ------
    NotAnInstance
        Naming which in order, from 1.
    """
    batch: list[Instance] = []
    held = 0
    for number, data in enumerate(instances, 1):
        try:
            path = read_header(data).path
        except NotAnInstance as error:
            raise NotAnInstance(f"instance {number} to store: {error}") from None
        if batch and (held + len(data) > size or len(batch) == MANY):
            yield batch
            batch, held = [], 0
        batch.append((path, data))
        held += len(data)
    if batch:
        yield batch


class StoreBody:
    """A multipart body that is never put together in memory (PS3.18, 10.5.1).

    Parameters
    ----------
    instances : sequence of (InstancePath, bytes)
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        # Random, so that no instance can hold it but by an accident of 2**-128.
        self._boundary = f"bedside-{secrets.token_hex(16)}"
        self._before = f"--{self._boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        self._after = f"--{self._boundary}--\r\n".encode("ascii")

    @property
    def headers(self) -> dict[str, str]:
        """Type and length."""
        length = sum(len(self._before) + len(data) + 2 for _, data in self._instances) + len(self._after)
        kind = f'multipart/related; type="application/dicom"; boundary={self._boundary}'
        return {"Content-Type": kind, "Content-Length": str(length)}

    def __call__(self) -> Iterator[bytes]:
        """Yield it piece by piece."""
        for _, data in self._instances:
            yield self._before
            yield data
            yield b"\r\n"
        yield self._after


def outcome_of(answer: Json, asked: Sequence[InstancePath]) -> tuple[StoreOutcome, list[InstancePath]]:
    """Read a Store Instances Response (PS3.18, Annex I.2).

    Returns
    -------
    StoreOutcome
        Of what the answer mentions.
    list of InstancePath
        What it does not mention.
    """
    by_uid = {path.instance: path for path in asked}
    stored: dict[str, InstancePath] = {}
    failed: dict[str, StoreFailure] = {}
    warned: list[tuple[str, int]] = []
    for item in items_of(answer, "00081198"):
        uid = text_of(item, "00081155") or ""
        if uid in by_uid:
            failed[uid] = StoreFailure(by_uid[uid], number_of(item, "00081197"))
    for item in items_of(answer, "00081199"):
        uid = text_of(item, "00081155") or ""
        # What is named as both failed and stored, such as an instance that was sent twice, is not trusted to be there.
        if uid in by_uid and uid not in failed:
            stored[uid] = by_uid[uid]
            reason = number_of(item, "00081196")
            warned += [(uid, reason)] if reason is not None else []
    silent = [path for uid, path in by_uid.items() if uid not in stored and uid not in failed]
    return StoreOutcome(tuple(stored.values()), tuple(failed.values()), tuple(warned)), silent
