"""The course of an export: kick-off, polling, manifest, files; each step is on record before the next begins."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import orjson

from fhir_adapter.bulk.download import download
from fhir_adapter.bulk.errors import BulkExportFailed, BulkExportUnfinished
from fhir_adapter.bulk.manifest import ExportedFile, Manifest
from fhir_adapter.bulk.request import ExportRequest
from fhir_adapter.bulk.state import ExportState, read_state, write_state
from fhir_adapter.client import FhirClient
from fhir_adapter.codes import FHIR_JSON
from fhir_adapter.egress import origin_of, within
from fhir_adapter.errors import ConfigurationError, FhirRejected, FhirUnavailable
from fhir_adapter.features.lines import EXPORT_FILE, resources_in
from fhir_adapter.retry import retry_after

__all__ = ["BulkExport", "ExportResult"]

FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0
MOST_MANIFEST = 16 * 1024 * 1024
# Links to files may end before the files do; the status request gives new ones.
EXPIRED = frozenset({403, 404, 410})
# Polls that may fail one after the other before the export counts as failed.
FAILING = 5
SERIOUS = frozenset({"error", "fatal"})


@dataclass(frozen=True)
class ExportResult:
    """A finished export.

    Parameters
    ----------
    folder : Path
        Where the files are.
    transaction_time : str
        The ``since`` of the next export.
    counts : mapping of str to int
        Resources by type, deletions under ``Bundle``; problems are not among them.
    issues : mapping of (severity, code) to int
        Problems the server met, by the codes of OperationOutcome.issue; its texts may quote patient data.
    """

    folder: Path
    transaction_time: str
    counts: dict[str, int]
    issues: dict[tuple[str, str], int]

    @property
    def complete(self) -> bool:
        """Whether the server reports nothing that is missing."""
        return not any(severity in SERIOUS for severity, _ in self.issues)


class BulkExport:
    """One export into one folder.

    Parameters
    ----------
    client : FhirClient
        Signed in at the server; sends its token to URLs under its own base only.
    folder : Path
        For the files and the state; made with mode 0700.
    origins : collection of str
        ``scheme://host:port`` of further hosts that the tenant names (:attr:`fhir_adapter.tenants.Tenant.origins`);
        files there are fetched without the token, files elsewhere not at all.
    deadline : float
        Seconds to wait for the server to get ready.
    progress : callable
        Told in words how it goes.
    sleep, clock : callable
        For tests.
    """

    def __init__(
        self,
        client: FhirClient,
        folder: Path,
        *,
        origins: Collection[str] = (),
        deadline: float = 4 * 3600.0,
        progress: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._folder = folder
        self._origins = frozenset(origins)
        self._deadline = deadline
        self._progress = progress
        self._sleep = sleep
        self._clock = clock

    def run(self, request: ExportRequest) -> ExportResult:
        """Export from kick-off to the last file.

        Raises
        ------
        ConfigurationError
            The folder holds an export already, or something else.
        BulkExportUnfinished, FhirUnavailable
            Interrupted; `resume` goes on.
        BulkExportFailed, FhirRejected
            Not to be mended by going on.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(self._folder.iterdir()):
            raise ConfigurationError(f"{self._folder} is not empty: resume the export in it, or choose another folder")
        # Repeated when its answer is lost: the server may then run one export too many, which nobody reads.
        headers = {"Prefer": "respond-async", "Accept": FHIR_JSON}
        response = self._client.send("GET", request.url(self._client.base), None, headers)
        location = response.headers.get("content-location", "")
        if response.status_code != httpx.codes.ACCEPTED or not location:
            raise BulkExportFailed("the server did not take the export up (no 202 with Content-Location)")
        status_url = self._own(urljoin(self._client.base + "/", location), token=True)
        self._progress("the server took the export up")
        return self._finish(self._keep(ExportState(self._client.base, request, status_url)))

    def resume(self) -> ExportResult:
        """Go on with the export in the folder; the server is not asked for another one.

        Raises
        ------
        ConfigurationError
            There is none, or it is another server's.
        """
        state = self._state()
        return self._finish(state)

    def cancel(self) -> None:
        """Tell the server to forget the export (DELETE of the status URL), and remove what was not finished."""
        self._delete(self._state())
        for part in self._folder.glob("*.part"):
            part.unlink()
        (self._folder / EXPORT_FILE).unlink(missing_ok=True)

    def _state(self) -> ExportState:
        state = read_state(self._folder)
        if state is None:
            raise ConfigurationError(f"{self._folder} holds no export")
        if state.base != self._client.base:
            raise ConfigurationError(f"the export in {self._folder} is of another FHIR base")
        self._own(state.status_url, token=True)
        return state

    def _keep(self, state: ExportState) -> ExportState:
        write_state(self._folder, state)
        return state

    def _finish(self, state: ExportState) -> ExportResult:
        if state.manifest is None:
            state = self._keep(replace(state, manifest=self._poll(state.status_url)))
        assert state.manifest is not None
        manifest = Manifest.from_json(state.manifest)
        if not state.finished:
            state, manifest = self._files(state, manifest)
            state = self._keep(replace(state, finished=True))
            self._delete(state)
        return self._result(state, manifest)

    def _poll(self, url: str) -> dict[str, Any]:
        """Ask until the export is complete, as often as the server likes to be asked."""
        end = self._clock() + self._deadline
        wait, failures = FIRST_WAIT, 0
        while True:
            asked = 0.0
            try:
                response = self._client.send("GET", url, None, {"Accept": "application/json"})
                failures = 0
                if response.status_code == httpx.codes.OK:
                    return self._manifest(response)
                if response.status_code != httpx.codes.ACCEPTED:
                    raise BulkExportFailed(f"the status request was answered {response.status_code}")
                asked = retry_after(response)
                self._progress(_printable(response.headers.get("x-progress", "")) or "in progress")
            except FhirUnavailable as error:
                failures += error.status not in (429, 503)
                if failures >= FAILING:
                    raise
            pause = asked or wait
            if self._clock() + pause > end:
                raise BulkExportUnfinished(f"not ready after {self._deadline:g} s; resume the export later")
            self._sleep(pause)
            wait = min(wait * 2, LONGEST_WAIT)

    def _manifest(self, response: httpx.Response) -> dict[str, Any]:
        try:
            if len(response.content) > MOST_MANIFEST:
                raise BulkExportFailed("the server's manifest is too large")
            data = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise BulkExportFailed("the server's manifest is not JSON") from None
        manifest = Manifest.from_json(data)
        for file in manifest.files:
            self._own(file.url, token=manifest.requires_access_token)
        self._progress(f"ready: {len(manifest.files)} files")
        return dict(data)

    def _own(self, url: str, *, token: bool) -> str:
        """Return a URL of the server's that may be asked.

        With the token only under the FHIR base that it was issued for (SMART Backend Services, Security
        considerations); without it also at hosts that the tenant names.
        """
        if within(self._client.base, url):
            return url
        try:
            parsed = httpx.URL(url)
            host = origin_of(parsed)
        except (httpx.InvalidURL, UnicodeDecodeError):
            raise BulkExportFailed("the server names a URL that is none") from None
        if token:
            raise BulkExportFailed(f"the export needs the access token at {host}, outside its FHIR base; not sent")
        if host not in self._origins or parsed.userinfo:
            raise BulkExportFailed(f"files lie at {host}, which the tenant does not name (allowed_hosts); not fetched")
        return url

    def _files(self, state: ExportState, manifest: Manifest) -> tuple[ExportState, Manifest]:
        renewed = False
        while waiting := [file for file in manifest.files if file.name not in dict(state.done)]:
            file = waiting[0]
            self._progress(f"{file.name} ({len(state.done) + 1} of {len(manifest.files)})")
            try:
                count = download(self._client, self._checked(file, manifest), self._folder)
            except FhirRejected as error:
                if renewed or error.status not in EXPIRED:
                    raise
                renewed = True
                again = self._poll(state.status_url)
                renewed_manifest = Manifest.from_json(again)
                if _shape(renewed_manifest) != _shape(manifest):
                    raise BulkExportFailed("the server's export became another one; start it anew") from None
                state, manifest = self._keep(replace(state, manifest=again)), renewed_manifest
                continue
            state, renewed = self._keep(state.with_file(file.name, count)), False
        return state, manifest

    def _checked(self, file: ExportedFile, manifest: Manifest) -> ExportedFile:
        self._own(file.url, token=manifest.requires_access_token)
        return file

    def _delete(self, state: ExportState) -> None:
        """The server may drop its copy; one that does not know the export any more, or knows no DELETE, is fine."""
        try:
            self._client.send("DELETE", state.status_url)
        except (FhirRejected, FhirUnavailable):
            self._progress("the server keeps its copy of the export")

    def _result(self, state: ExportState, manifest: Manifest) -> ExportResult:
        done, counts = dict(state.done), Counter[str]()
        for file in (*manifest.output, *manifest.deleted):
            counts[file.type] += done[file.name]
        issues = Counter[tuple[str, str]]()
        for file in manifest.error:
            for outcome in resources_in(self._folder / file.name):
                for issue in outcome.get("issue") or []:
                    issues[_code(issue.get("severity")), _code(issue.get("code"))] += 1
        return ExportResult(self._folder, manifest.transaction_time, dict(counts), dict(issues))


def _shape(manifest: Manifest) -> object:
    return manifest.transaction_time, [(file.name, file.count) for file in manifest.files]


def _code(value: object) -> str:
    """A code as it may be shown; anything else in its place is not."""
    return value if isinstance(value, str) and value.replace("-", "").isalpha() and len(value) <= 40 else "unknown"


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isprintable())[:100]
