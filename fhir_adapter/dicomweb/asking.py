"""The questions to a DICOMweb server: a search page by page, a document, so many parts (PS3.18, 8.3.4, 8.6.1, 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.errors import ImageNotFound, ImageStoreLied
from fhir_adapter.dicomweb.http import Answer, DicomwebHttp, Question
from fhir_adapter.dicomweb.limits import Limits
from fhir_adapter.dicomweb.multipart import Part, boundary_of, media_type_of, parts_of
from fhir_adapter.dicomweb.parsing import datasets_of
from fhir_adapter.dicomweb.rows import InstanceRow, SeriesRow, StudyRow

__all__ = ["Asking"]

DICOM_JSON = "application/dicom+json"
_JSON = {"Accept": DICOM_JSON, "Accept-Encoding": "gzip"}

R = TypeVar("R", StudyRow, SeriesRow, InstanceRow)


class Asking:
    """Asks one server.

    Parameters
    ----------
    http : DicomwebHttp
    root : str
        Without a trailing slash.
    limits : Limits
    """

    def __init__(self, http: DicomwebHttp, root: str, limits: Limits) -> None:
        self._http = http
        self._root = root
        self._limits = limits

    def search(
        self,
        url: str,
        query: list[tuple[str, str]],
        what: str,
        row_of: Callable[[Json], R],
        key_of: Callable[[R], object],
    ) -> list[R]:
        """Search page by page (PS3.18, 8.3.4.4), until a page is short or brings nothing new."""
        found: dict[object, R] = {}
        offset: int = 0
        while True:
            paging: list[tuple[str, str]] = [("limit", str(self._limits.page)), ("offset", str(offset))]
            rows, more = self._page(url, [*query, *paging], what)
            before = len(found)
            for row in map(row_of, rows):
                found.setdefault(key_of(row), row)
            offset += len(rows)
            if len(found) > self._limits.rows:
                raise ImageStoreLied(f"{what}: the server found more than {self._limits.rows} rows")
            if len(found) == before or (len(rows) < self._limits.page and not more):
                return list(found.values())

    def _page(self, url: str, query: list[tuple[str, str]], what: str) -> tuple[list[Json], bool]:
        """Return the rows of one page, and whether the server says that there are more."""
        question = Question(str(httpx.URL(f"{self._root}/{url}", params=query)), what, _JSON)

        def read(answer: Answer) -> tuple[list[Json], bool]:
            rows = datasets_of(answer.read(self._limits.json, what), what)
            # PS3.18, 8.3.4.4: 299 warns that there are more results than the server gives at once.
            return rows, answer.headers.get("warning", "").startswith("299")

        try:
            return self._http.ask(question, read)
        except ImageNotFound:
            # Below a study that is not there, some servers answer so instead of with nothing.
            if url == "studies":
                raise
            return [], False

    def datasets(self, url: str, what: str) -> list[Json]:
        """Return the data sets of a JSON document."""
        question = Question(f"{self._root}/{url}", what, _JSON)
        return self._http.ask(question, lambda answer: datasets_of(answer.read(self._limits.json, what), what))

    def parts(self, url: str, accept: str, count: int, what: str) -> list[Part]:
        """Return so many parts of an absolute URL; a body that is no multipart counts as one."""
        # Pixels are compressed already or not worth it: gzip would make the server the bottleneck.
        question = Question(url, what, {"Accept": accept, "Accept-Encoding": "identity"})
        return self._http.ask(question, lambda answer: self._parts(answer, count, what))

    def _parts(self, answer: Answer, count: int, what: str) -> list[Part]:
        if answer.status == httpx.codes.NO_CONTENT:
            raise ImageNotFound(f"{what}: the image store has no content of it", answer.status)
        try:
            boundary = boundary_of(answer.content_type)
            if boundary is None:
                return self._one(answer, count, what)
            outer = media_type_of(answer.content_type)[1]
            found = _exactly(parts_of(answer.pieces, boundary, self._limits), count)
        except ImageStoreLied as error:
            raise ImageStoreLied(f"{what}: {str(error).removeprefix(f'{what}: ')}", answer.status) from None
        # Servers tell the transfer syntax of the parts at the part, or once for all of them.
        told = {"transfer-syntax": outer["transfer-syntax"]} if "transfer-syntax" in outer else {}
        return [Part({**told, **part.headers}, part.body) for part in found]

    def _one(self, answer: Answer, count: int, what: str) -> list[Part]:
        if count != 1:
            raise ImageStoreLied("the server answered with one part instead of several")
        return [Part({"content-type": answer.content_type}, answer.read(self._limits.part, what))]


def _exactly(parts: Iterator[Part], count: int) -> list[Part]:
    found: list[Part] = []
    for part in parts:
        if len(found) == count:
            raise ImageStoreLied(f"the server answered with more than {count} parts")
        found.append(part)
    if len(found) != count:
        raise ImageStoreLied(f"the server answered with {len(found)} parts instead of {count}")
    return found
