"""Lambda functions under the real Lambda Runtime Interface Emulator, without Docker.

AWS ships the emulator's binary in the `aws-sam-cli` package; the Python runtime is `awslambdaric`. Together they
run a handler as Lambda does: one process, the Runtime API between them, one invocation at a time, initialisation
at the first invocation.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

LOOPBACK = "127.0.0.1"
INVOCATIONS = "/2015-03-31/functions/function/invocations"
INSTALL = "install aws-sam-cli and awslambdaric, as `make setup-test` does on Linux"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
REPOSITORY = Path(__file__).resolve().parents[2]

# What a function may see of this machine. Lambda has its own variables; these keep numerical libraries, time and
# temporary files as this machine needs them.
INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PATH", "TMPDIR")

# Marks the emulator's processes as ours, so that none but them is ever ended.
FOLDER_VARIABLE = "BEDSIDE_EMULATOR_FOLDER"

# Prints where an interpreter keeps the runtime client and what it needs, one path a line.
FIND_RUNTIME = """
import importlib.util
for name in ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"):
    spec = importlib.util.find_spec(name)
    if spec is not None:
        print(spec.submodule_search_locations[0] if spec.submodule_search_locations else spec.origin)
    elif name == "awslambdaric":
        raise SystemExit(1)
"""


class EmulatorError(Exception):
    """Base of the emulator's errors."""


class EmulatorUnavailable(EmulatorError):
    """This machine cannot run the emulator; the message says what to install."""


class EmulatorStartError(EmulatorError):
    """The emulator did not come up; the message ends with what it said."""


class EmulatorInvocationError(EmulatorError):
    """The function failed: it raised, could not be imported, ended or took too long.

    Attributes
    ----------
    type : str
        The error type that Lambda reports, such as ``ValueError`` or ``Runtime.ImportModuleError``.
    message : str
        The error message that Lambda reports.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message


class EmulatedFunction:
    """A Lambda function under the emulator.

    Parameters
    ----------
    handler : str
        As in a template's ``Handler``: ``functions.survival.app.handler``.
    environment : Mapping of str to str
        The function's environment variables; besides them it sees only a few of this process's.
    code_dir : Path, optional
        An unpacked deployment artefact. The function then sees it and the standard library, nothing else, as in
        Lambda. Without it the function runs from this checkout with this environment's packages.
    python : str
        The interpreter; it must have `awslambdaric`.
    timeout : float
        Seconds an invocation may take; as in Lambda, initialisation comes on top the first time.

    Raises
    ------
    EmulatorUnavailable
        Not Linux on x86-64 or arm64, or a package is absent.
    """

    def __init__(
        self,
        handler: str,
        environment: Mapping[str, str],
        code_dir: Path | None = None,
        python: str = sys.executable,
        timeout: float = 30.0,
    ) -> None:
        self._handler = handler
        self._environment = dict(environment)
        self._code_dir = code_dir.resolve() if code_dir is not None else None
        self._python = python
        self._timeout = timeout
        self._binary = find_emulator()
        self._runtime = _find_runtime(python)
        self._one_at_a_time = threading.Lock()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._log = ""

    @property
    def log(self) -> str:
        """What the function and the emulator wrote, also after the stop."""
        if self._folder is not None:
            return (self._folder / "log").read_text(errors="replace")
        return self._log

    @property
    def init_ms(self) -> float | None:
        """Milliseconds of initialisation as the emulator reports them; None before the first invocation."""
        found = re.search(r"INIT REPORT\(durationMs: ([0-9.]+)\)", self.log)
        return float(found.group(1)) if found else None

    def __enter__(self) -> EmulatedFunction:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start the emulator and wait until it listens. The function initialises at its first invocation.

        Raises
        ------
        EmulatorStartError
            It ended or did not listen in time.
        """
        if self._process is not None:
            raise EmulatorStartError(f"{self._handler} is already started")
        self._folder = Path(tempfile.mkdtemp(prefix="bedside-emulator-"))
        try:
            self._port, runtime_port = _free_ports()
            with (self._folder / "log").open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own words
                    self._command(self._folder, runtime_port),
                    cwd=self._code_dir or REPOSITORY,
                    env=self._variables(self._folder),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._await_listening(self._process)
        except BaseException:
            self.stop()
            raise

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke the function synchronously.

        Raises
        ------
        EmulatorInvocationError
            The function failed.
        EmulatorError
            It is not started, or the emulator answered something that is no result.
        """
        if self._process is None:
            raise EmulatorError(f"{self._handler} is not started")
        with self._one_at_a_time:
            # Lambda gives initialisation its own time; a margin lets the emulator report a timeout itself.
            connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=2 * self._timeout + 10)
            try:
                connection.request("POST", INVOCATIONS, json.dumps(event))
                answer = connection.getresponse()
                return self._result(answer.read(), answer.getheader("X-Amz-Function-Error"))
            except (http.client.HTTPException, OSError) as error:
                raise EmulatorError(f"{self._handler}: the emulator does not answer ({error!r})") from error
            finally:
                connection.close()

    def stop(self) -> None:
        """End the emulator and the function's process; harmless when it is not running."""
        process, self._process = self._process, None
        if process is not None:
            family = [process.pid, *_descendants(process.pid)]
            # The emulator ends the runtime when asked politely; whoever stays is ended by its own number.
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pid in family[1:]:
                if _runs_in(pid, self._folder):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        if self._folder is not None:
            with contextlib.suppress(FileNotFoundError):
                self._log = self.log
            shutil.rmtree(self._folder)
            self._folder = None

    def _command(self, folder: Path, runtime_port: int) -> list[str]:
        binary = self._binary
        if not os.access(binary, os.X_OK):
            binary = Path(shutil.copy(binary, folder / "emulator"))
            binary.chmod(0o700)
        # -S keeps this environment's packages away from a packaged function.
        python = [self._python, "-S"] if self._code_dir else [self._python]
        return [
            str(binary),
            "--runtime-interface-emulator-address",
            f"{LOOPBACK}:{self._port}",
            "--runtime-api-address",
            f"{LOOPBACK}:{runtime_port}",
            *python,
            "-m",
            "awslambdaric",
            self._handler,
        ]

    def _variables(self, folder: Path) -> dict[str, str]:
        root = str(self._code_dir or REPOSITORY)
        path = [root]
        if self._code_dir:
            runtime = folder / "runtime"
            runtime.mkdir()
            for source in self._runtime:
                (runtime / source.name).symlink_to(source)
            path.append(str(runtime))
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PYTHONPATH": os.pathsep.join(path),
            # A deployed function's files are read-only.
            "PYTHONDONTWRITEBYTECODE": "1",
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": root,
            "AWS_LAMBDA_FUNCTION_NAME": self._handler.replace(".", "-"),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(max(1, round(self._timeout))),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            FOLDER_VARIABLE: str(folder),
            **self._environment,
        }

    def _await_listening(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise EmulatorStartError(f"the emulator ended with status {process.returncode}:\n{self.log[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._port), timeout=1):
                return
            pause.wait(0.01)
        raise EmulatorStartError(f"the emulator did not listen within {START_SECONDS:g} s:\n{self.log[-2000:]}")

    def _result(self, body: bytes, failed: str | None) -> dict[str, Any]:
        text = body.decode(errors="replace")
        try:
            result = json.loads(text)
        except json.JSONDecodeError:
            # The emulator reports a timeout as plain text.
            raise EmulatorInvocationError("Sandbox.Timedout" if "timed out" in text else "Unknown", text) from None
        # The emulator marks no error; this is the shape the Runtime API gives one.
        if isinstance(result, dict) and (failed or {"errorMessage", "errorType"} <= result.keys()):
            raise EmulatorInvocationError(str(result.get("errorType")), str(result.get("errorMessage")))
        if result is None:
            return {}
        if not isinstance(result, dict):
            raise EmulatorError(f"{self._handler} returned {type(result).__name__}, not an object")
        return result


def find_emulator() -> Path:
    """Return the emulator's binary for this machine.

    Raises
    ------
    EmulatorUnavailable
        Not Linux on x86-64 or arm64, or `aws-sam-cli` is absent.
    """
    machine = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower()
    )
    if sys.platform != "linux" or machine is None:
        raise EmulatorUnavailable(
            f"the Lambda emulator runs on Linux on x86-64 and arm64, and this is {platform.system()} on "
            f"{platform.machine()}; run functions in this process instead"
        )
    spec = importlib.util.find_spec("samcli")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "local" / "rapid" / f"aws-lambda-rie-{machine}"
        if binary.exists():
            return binary
    raise EmulatorUnavailable(f"the Lambda emulator is not here: {INSTALL}")


def _find_runtime(python: str) -> list[Path]:
    """Return the files of the runtime client in an interpreter's environment."""
    try:
        answer = subprocess.run(  # noqa: S603 - the caller's own interpreter
            [python, "-c", FIND_RUNTIME], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        raise EmulatorUnavailable(f"there is no interpreter {python}") from None
    if answer.returncode != 0:
        raise EmulatorUnavailable(f"{python} has no awslambdaric: {INSTALL}")
    return [Path(line) for line in answer.stdout.splitlines()]


def _free_ports() -> tuple[int, int]:
    """Return two ports of the loopback interface that are free now."""
    with socket.socket() as first, socket.socket() as second:
        first.bind((LOOPBACK, 0))
        second.bind((LOOPBACK, 0))
        return first.getsockname()[1], second.getsockname()[1]


def _descendants(pid: int) -> list[int]:
    """Return the processes below one, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may hold anything; the parent is the second field after it.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    front = [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, [])]
        found += front
    return found


def _runs_in(pid: int, folder: Path | None) -> bool:
    """Tell whether a process is (still) one of this function's."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{FOLDER_VARIABLE}={folder}".encode() in variables
