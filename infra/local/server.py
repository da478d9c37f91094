"""An ASGI application behind a real socket on the loopback interface, served from a thread."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

import uvicorn

LOOPBACK = "127.0.0.1"


def bind(port: int | None = None) -> socket.socket:
    """Bind a loopback socket; the address is known before anything is served from it.

    Parameters
    ----------
    port : int, optional
        0 or None takes a free one.

    Raises
    ------
    OSError
        The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port or 0))
    except OSError:
        listener.close()
        raise
    return listener


class ThreadedServer:
    """Serve an application from a thread of its own until stopped.

    Parameters
    ----------
    app : ASGI application
    listener : socket
        From :func:`bind`; closed by :meth:`stop`.
    """

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._listener = listener
        # Plain HTTP/1.1 on asyncio: what is installed besides must not change the twin's behaviour.
        config = uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        # Addresses hold patients' ids, and what strangers write into them; uvicorn turns its log of them on again
        # where somebody else set up logging.
        logging.getLogger("uvicorn.access").disabled = True
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name=f"server-{self.port}", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """``http://127.0.0.1:{port}``, without a trailing slash."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self, timeout: float = 30.0) -> None:
        """Start serving; returns when the socket answers.

        Raises
        ------
        TimeoutError
            It did not come up in time.
        """
        self._thread.start()
        deadline = time.monotonic() + timeout
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"no server came up at {self.url}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Finish the requests under way, then close the socket."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=15)
        self._listener.close()


def serve(app: Any, listener: socket.socket, stack: ExitStack) -> str:
    """Serve an application until a stack is closed; returns its address."""
    server = ThreadedServer(app, listener)
    stack.callback(server.stop)
    server.start()
    return server.url
