"""A name server that lies, as a program: `python nameserver.py ZONE.json` prints its port, then each question.

The zone: a name → what it does.

    {"steps": [[address, …], …]}   the addresses of each time that it is asked for, the last ones from then on
    {"cname": name}                another name
    {"how": "dead"}                no answer; "garbage", "other id", "other question": a wrong one; "servfail"; "empty";
                                   "truncated": over UDP only that it does not fit, with "steps" over TCP
"""

from __future__ import annotations

import json
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSQuestion, DNSRecord

TTL_S = 86_400  # a day: whoever believes it asks no second time


class Zone:
    def __init__(self, names: Mapping[str, Mapping[str, Any]]) -> None:
        self._names = names
        self._asked: dict[tuple[str, str], int] = {}
        self._noting = threading.Lock()

    def answer(self, data: bytes, tcp: bool) -> bytes:
        """The answer to a question; b"" for none."""
        question = DNSRecord.parse(data)
        name, kind = str(question.q.qname).rstrip(".").lower(), QTYPE[question.q.qtype]
        with self._noting:  # two questions at once are two lines
            print(kind, name, "tcp" if tcp else "udp", flush=True)
        reply = question.reply()
        does = self._names.get(name)
        if does is None:
            reply.header.rcode = RCODE.NXDOMAIN
            return bytes(reply.pack())
        how = does.get("how")
        if how == "dead":
            return b""
        if how == "garbage":
            return data[:2] + b"\xff" * 40
        if how == "servfail":
            reply.header.rcode = RCODE.SERVFAIL
        elif how == "truncated" and not tcp:
            reply.header.tc = 1
        else:
            self._follow(reply, name, kind)
        if how == "other id":
            reply.header.id ^= 1
        elif how == "other question":
            reply.questions = [DNSQuestion("other.example", question.q.qtype)]
        return bytes(reply.pack())

    def _follow(self, reply: DNSRecord, name: str, kind: str) -> None:
        for _ in range(30):
            does = self._names.get(name, {})
            if "cname" not in does:
                break
            reply.add_answer(RR(name, QTYPE.CNAME, ttl=TTL_S, rdata=CNAME(does["cname"])))
            name = does["cname"]
        steps = self._names.get(name, {}).get("steps", [[]])
        count = self._asked.get((name, kind), 0)
        self._asked[name, kind] = count + 1
        for address in steps[min(count, len(steps) - 1)]:
            if (":" in address) == (kind == "AAAA"):
                data = AAAA(address) if kind == "AAAA" else A(address)
                reply.add_answer(RR(name, getattr(QTYPE, kind), ttl=TTL_S, rdata=data))


def main() -> None:
    zone = Zone(json.loads(Path(sys.argv[1]).read_text()))

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, answering = self.request
            if answer := zone.answer(data, tcp=False):
                answering.sendto(answer, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            (size,) = struct.unpack(">H", self.rfile.read(2))
            if answer := zone.answer(self.rfile.read(size), tcp=True):
                self.wfile.write(struct.pack(">H", len(answer)) + answer)

    tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
    with tcp, socketserver.UDPServer(tcp.server_address, Udp) as udp:
        threading.Thread(target=tcp.serve_forever, daemon=True).start()
        print(tcp.server_address[1], flush=True)
        udp.serve_forever()


@dataclass
class Liar:
    """The program, running."""

    port: int
    log: Path

    @property
    def asked(self) -> list[str]:
        """The questions so far: `A name udp`."""
        return self.log.read_text().splitlines()[1:]


@contextmanager
def lying(directory: Path, names: Mapping[str, Mapping[str, Any]]) -> Iterator[Liar]:
    zone, log = directory / "zone.json", directory / "asked"
    zone.write_text(json.dumps(names))
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, __file__, str(zone)], stdout=out)
    try:
        while not log.read_text().endswith("\n"):
            assert process.poll() is None, "the name server has ended"
        yield Liar(int(log.read_text().splitlines()[0]), log)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
