"""Orthanc as the twin's archive (Debian packages ``orthanc`` and ``orthanc-dicomweb``)."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from infra.local.pacs import relay
from infra.local.pacs.archive import kept_token
from infra.local.server import bind

__all__ = ["OrthancPacs"]

PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)
INNER_PORT = 8042
UNSHARE = ("unshare", "--net", "--map-root-user")
# Not even a relay that is killed leaves Orthanc behind.
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
TOKEN = re.compile(r"[A-Za-z0-9_-]+")
# Orthanc knows no bearer tokens; its filter of requests in Lua sees every header. The token holds no quotes.
FILTER = """function IncomingHttpRequestFilter(method, uri, ip, username, headers)
  return headers["authorization"] == "Bearer {token}" and string.sub(uri, 1, 11) == "/dicom-web/"
end
"""


class OrthancPacs:
    """Orthanc in a network of its own, reached by a port on 127.0.0.1 and with a token only.

    Parameters
    ----------
    data_dir : Path
        Where images, index, token, configuration and log are kept.
    port : int, optional
        Port on 127.0.0.1; a free one by default.
    overwrite : bool
        Whether an instance that comes again takes the place of the one that is there.
    token : str, optional
        Bearer token to accept, of letters, digits, hyphens and underscores; the one that is kept in the folder by
        default.
    """

    name = "Orthanc"

    def __init__(
        self, data_dir: Path, port: int | None = None, *, overwrite: bool = False, token: str | None = None
    ) -> None:
        if token and not TOKEN.fullmatch(token):
            raise ValueError("Orthanc's filter takes a token of letters, digits, hyphens and underscores only")
        self._data_dir = data_dir
        self._port = port
        self._overwrite = overwrite
        self._process: subprocess.Popen[bytes] | None = None
        self._root = ""
        self._token = token or ""

    @staticmethod
    @cache
    def problem() -> str | None:
        """Return why it cannot run here, None when it can."""
        if platform.system() != "Linux":
            return "a network of its own needs Linux"
        if _executable() is None or _plugin() is None:
            return "the packages orthanc and orthanc-dicomweb are not installed"
        if shutil.which("unshare") is None or shutil.which("setpriv") is None:
            return "unshare and setpriv (util-linux) are not installed"
        tried = subprocess.run(  # noqa: S603
            [*UNSHARE, *WITH_PARENT, "true"], capture_output=True, check=False, timeout=10
        )
        return "a network of its own is not allowed here (unshare)" if tried.returncode else None

    @property
    def root(self) -> str:
        """DICOMweb root URL, without a trailing slash."""
        return self._root

    @property
    def token(self) -> str:
        """Bearer token that the server accepts."""
        return self._token

    @property
    def process_id(self) -> int | None:
        """Of the relay, None when it is not running."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; returns when it answers.

        Raises
        ------
        RuntimeError
            It cannot run here, or ended at once.
        TimeoutError
            It did not come up in time.
        """
        problem = self.problem()
        if problem is not None:
            raise RuntimeError(f"Orthanc cannot be started: {problem}")
        self._token = kept_token(self._data_dir / "token", self._token)
        listener = bind(self._port)
        listener.listen(64)
        self._root = f"http://127.0.0.1:{listener.getsockname()[1]}/dicom-web"
        command = [*UNSHARE, sys.executable, "-I", relay.__file__, str(listener.fileno()), str(INNER_PORT)]
        command += [*WITH_PARENT, str(_executable()), str(self._configured())]
        with listener, (self._data_dir / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - every word is ours
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()]
            )
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it by ending its input, and wait for it."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _configured(self) -> Path:
        script, path = self._data_dir / "filter.lua", self._data_dir / "orthanc.json"
        for file, text in ((script, FILTER.format(token=self._token)), (path, json.dumps(self._settings(script)))):
            file.touch(mode=0o600)
            file.write_text(text)
        return path

    def _settings(self, script: Path) -> dict[str, Any]:
        folder = str(self._data_dir / "images")
        return {
            "Name": "Bedside twin",
            "StorageDirectory": folder,
            "IndexDirectory": folder,
            "HttpPort": INNER_PORT,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "LuaScripts": [str(script)],
            "DicomServerEnabled": False,
            "OrthancExplorerEnabled": False,
            "WebDavEnabled": False,
            "HttpDescribeErrors": False,
            "HttpCompressionEnabled": True,
            "KeepAlive": True,
            "TcpNoDelay": True,
            "HttpThreadsCount": 16,
            "OverwriteInstances": self._overwrite,
            "Plugins": [str(_plugin())],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        }

    def _await_ready(self, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        headers = {"Authorization": f"Bearer {self._token}"}
        query = {"StudyInstanceUID": "1.2.3"}
        with httpx.Client(timeout=5.0, trust_env=False, headers=headers) as http:
            while True:
                try:
                    if http.get(f"{self._root}/studies", params=query).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                assert self._process is not None
                if self._process.poll() is not None:
                    raise RuntimeError(f"Orthanc ended with code {self._process.returncode}; see its orthanc.log")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Orthanc at {self._root} does not answer")
                time.sleep(0.05)


def _executable() -> str | None:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


def _plugin() -> Path | None:
    return next((path for path in PLUGINS if path.exists()), None)
