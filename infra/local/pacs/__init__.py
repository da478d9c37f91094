"""The twin's archive of images: Orthanc where it is installed, else a folder behind a small DICOMweb server."""

from __future__ import annotations

from pathlib import Path

from infra.local.pacs.archive import Pacs
from infra.local.pacs.folder import FolderPacs
from infra.local.pacs.orthanc import OrthancPacs

__all__ = ["FolderPacs", "OrthancPacs", "Pacs", "open_pacs"]


def open_pacs(data_dir: Path, port: int | None = None, *, token: str | None = None) -> Pacs:
    """Return the archive to use here, not started yet.

    Parameters
    ----------
    data_dir : Path
        Where it keeps its images; each kind has its own folder in it.
    port : int, optional
        Port on 127.0.0.1; a free one by default.
    token : str, optional
        Bearer token to accept, such as the EHR's; one of its own by default.
    """
    if OrthancPacs.problem() is None:
        return OrthancPacs(data_dir / "orthanc", port, token=token)
    return FolderPacs(data_dir / "folder", port, token=token)
