"""A client that sends at a fixed rate whatever comes back, in a process of its own: `python openloop.py PLAN`.

The plan is JSON on standard input: {host, port, requests: [base64…], rate, seconds, connections}; the answer is JSON on
standard output: {latencies_us: [...], failed, late_us_p99}.

A latency counts from the moment at which the request was to be sent, not from when it was: what a slow answer holds up
behind it is slow, too. (Else it would be left out: "coordinated omission".) Requests wait for a free connection in
order; there are enough of them for `rate` × a second.

One thread and `select`, whose timeout has microseconds where epoll's has milliseconds.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import socket
import sys
import time
from collections import deque
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)
# What is not answered this long after the last was sent has failed.
_PATIENCE_S = 10.0


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.due_s = 0.0

    def fileno(self) -> int:
        return self.socket.fileno()

    def answered(self) -> bytes | None:
        """The status line of a whole answer, or None; b"" when the server has hung up."""
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        if not data:
            return b""
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = _LENGTH.search(head + b"\r\n")
        if len(body) < (int(length[1]) if length else 0):
            return None
        self.received = b""
        return head.split(b"\r\n", 1)[0]


def run(plan: dict[str, Any]) -> dict[str, Any]:
    address = (plan["host"], plan["port"])
    requests = [base64.b64decode(request) for request in plan["requests"]]
    free = [_Connection(address) for _ in range(plan["connections"])]
    busy: list[_Connection] = []
    waiting: deque[float] = deque()
    latencies: list[float] = []
    late: list[float] = []
    failed = sent = 0
    count, gap_s = int(plan["rate"] * plan["seconds"]), 1 / plan["rate"]
    began_s = time.perf_counter() + 0.01
    planned = 0
    while len(latencies) + failed < count:
        now_s = time.perf_counter()
        while planned < count and began_s + planned * gap_s <= now_s:
            waiting.append(began_s + planned * gap_s)
            planned += 1
        while waiting and free:
            connection = free.pop()
            connection.due_s = waiting.popleft()
            late.append(time.perf_counter() - connection.due_s)
            try:
                connection.socket.send(requests[sent % len(requests)])
            except OSError:
                failed += 1
                free.append(_Connection(address))
                continue
            finally:
                sent += 1
            busy.append(connection)
        next_s = began_s + planned * gap_s if planned < count else began_s + count * gap_s + _PATIENCE_S
        wait_s = next_s - time.perf_counter()
        if planned == count and wait_s <= 0:
            failed += count - len(latencies) - failed
            break
        for connection in select.select(busy, [], [], max(0.0, wait_s))[0]:
            status = connection.answered()
            if status is None:
                continue
            busy.remove(connection)
            if status.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
                latencies.append(time.perf_counter() - connection.due_s)
            else:
                failed += 1
            if not status:
                connection.socket.close()
                connection = _Connection(address)
            free.append(connection)
    late.sort()
    return {
        "latencies_us": [round(latency * 1e6) for latency in latencies],
        "failed": failed,
        "late_us_p99": round(late[int(len(late) * 0.99)] * 1e6) if late else 0,
    }


if __name__ == "__main__":
    # Its own waiting for a processor is not what it measures. (Only root may. Not by a nice value: that would be weight
    # in the processors' account of this session, on which the server draws, too.)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    json.dump(run(json.load(sys.stdin)), sys.stdout)
