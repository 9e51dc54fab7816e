"""Clients that take their time: `python slow_clients.py headers|bodies|readers HOST PORT PATH COUNT`, until killed.

`headers`: a request whose head comes a byte a second. `bodies`: one whose body comes so. `readers`: answers are asked
for and not read, but for a byte a second. Who is cut off comes again at once.
"""

from __future__ import annotations

import contextlib
import heapq
import socket
import sys
import time

STEP_S = 1.0


class Slow:
    """One connection."""

    def __init__(self, kind: str, address: tuple[str, int], path: str) -> None:
        self.kind, self.address = kind, address
        head = f"Host: {address[0]}:{address[1]}\r\n"
        self.opening = {
            "headers": f"GET {path} HTTP/1.1\r\n{head}X-Slow: ",
            "bodies": f"POST {path} HTTP/1.1\r\n{head}Content-Length: 1000000\r\n\r\n",
            "readers": f"GET {path} HTTP/1.1\r\n{head}\r\n",
        }[kind].encode()
        self.socket: socket.socket | None = None

    def connect(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.connect(self.address)
        self.socket.setblocking(False)
        self.socket.send(self.opening)

    def step(self) -> None:
        """A byte more; a new connection in place of one that was cut off."""
        try:
            if self.socket is None:
                self.connect()
            elif self.kind == "readers":
                if not self.socket.recv(1):
                    raise ConnectionError
            else:
                self.socket.send(b"a")
        except BlockingIOError:
            pass
        except OSError:
            if self.socket is not None:
                self.socket.close()
            self.socket = None


def main() -> None:
    kind, host, port, path, count = sys.argv[1:]
    clients = [Slow(kind, (host, int(port)), path) for _ in range(int(count))]
    now_s = time.monotonic()
    due = [(now_s + STEP_S * number / len(clients) / 4, number) for number in range(len(clients))]
    while True:
        due_s, number = due[0]
        time.sleep(max(0.0, due_s - time.monotonic()))
        clients[number].step()
        heapq.heapreplace(due, (max(due_s + STEP_S, time.monotonic()), number))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
