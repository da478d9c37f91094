"""Run Orthanc where nothing but this relay can reach it.

Orthanc listens on every address. So it runs in a network of its own, whose only interface is a loopback, and this
process, in there with it, hands over what arrives at a socket that was bound outside, on 127.0.0.1. Started by
:mod:`infra.local.pacs.orthanc` as ``unshare --net python relay.py FD PORT COMMAND...``; standard library only. It ends,
and Orthanc with it, when its standard input does, so that neither outlives who started them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
PIECE = 256 * 1024


def loopback_up() -> None:
    """Switch on the loopback interface, which is down in a new network (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Hand over until the source ends; then say so to the sink."""
    with contextlib.suppress(OSError):
        buffer = bytearray(PIECE)
        view = memoryview(buffer)
        while count := source.recv_into(buffer):
            sink.sendall(view[:count])
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def relay(outer: socket.socket, port: int) -> None:
    """Join one connection to a new one inside, until both ways have ended."""
    with outer:
        try:
            inner = socket.create_connection(("127.0.0.1", port))
        except OSError:  # not up yet: whoever asks sees a closed connection, and asks again
            return
        with inner:
            for end in (outer, inner):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
            back.start()
            pump(outer, inner)
            back.join()


def accept(listener: socket.socket, port: int) -> None:
    """Relay every connection, each in a thread of its own."""
    while True:
        try:
            outer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=relay, args=(outer, port), daemon=True).start()


def main(fd: int, port: int, command: list[str]) -> int:
    """Run a command beside the relay; returns its exit code."""
    loopback_up()
    listener = socket.socket(fileno=fd)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:  # noqa: S603 - what our parent names
        threading.Thread(target=accept, args=(listener, port), daemon=True).start()

        def stop_with_parent() -> None:
            while os.read(0, 1024):
                pass
            child.terminate()

        threading.Thread(target=stop_with_parent, daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
