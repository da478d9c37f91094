"""A folder of DICOM files behind DICOMweb."""

from __future__ import annotations

from pathlib import Path

from fhir_adapter.dicomweb import DirectoryImageStore
from infra.local.pacs.archive import kept_token
from infra.local.pacs.dicomweb import DicomwebApp
from infra.local.server import ThreadedServer, bind

__all__ = ["FolderPacs"]


class FolderPacs:
    """A DICOMweb server in a thread of this process.

    Parameters
    ----------
    data_dir : Path
        Where images and token are kept.
    port : int, optional
        Port on 127.0.0.1; a free one by default.
    token : str, optional
        Bearer token to accept; the one that is kept in the folder by default.
    """

    name = "a folder of DICOM files"

    def __init__(self, data_dir: Path, port: int | None = None, *, token: str | None = None) -> None:
        self._data_dir = data_dir
        self._port = port
        self._server: ThreadedServer | None = None
        self._token = token or ""

    @property
    def root(self) -> str:
        """DICOMweb root URL, without a trailing slash."""
        if self._server is None:
            raise RuntimeError("the archive is not started")
        return f"{self._server.url}/dicom-web"

    @property
    def token(self) -> str:
        """Bearer token that the server accepts."""
        return self._token

    def start(self) -> None:
        """Index the folder and serve it."""
        self._token = kept_token(self._data_dir / "token", self._token)
        store = DirectoryImageStore(self._data_dir / "images")
        self._server = ThreadedServer(DicomwebApp(store, self._token).app, bind(self._port))
        self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()
        self._server = None
