"""What a worker holds after thousands of hostile requests: what it held after the first of them."""

from __future__ import annotations

import http.client
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from hostile.house import ABI, HOSTILE, Case, House, answers, footprint
from hostile.test_abi import _HTTP, _SAYS, OUTCOMES, RESULTS, spelled
from hostile.test_guests import _STORMS, _TRAPS, STORMS, TRAPS, fuel
from isolet.abi import pack
from isolet.sigv4 import Signer
from served import PATIENCE_S

THREADS = 4
WARM_UP = 4_000
# Beyond which memory may not have grown; what an allocator keeps of a large answer is less.
GROWTH = 1.05
ARENA_BYTES = 4 * 1024 * 1024  # one more of the allocator's, in a worker that has served much else before

FUNCTIONS = [
    Case("results", ABI, _SAYS, answers(), settings=_HTTP),
    Case("traps", ABI, _TRAPS, answers()),
    Case("storms", ABI, _STORMS, answers(), settings=fuel(1_000_000)),
]
BODIES = [
    *(spelled(content) for content, _ in OUTCOMES.values()),
    *(spelled(b"\x81\xa2ok" + pack(result)) for result, _ in RESULTS.values()),
]


class Attacker:
    """A connection that goes on whatever it is answered."""

    def __init__(self, house: House, seed: int) -> None:
        url = httpx.URL(house.server.url)
        self.house = house
        self.choose = random.Random(seed)
        self.signer = Signer(house.hostile.key, house.hostile.secret)
        self.connection = http.client.HTTPConnection(url.host, url.port or 80, timeout=PATIENCE_S)
        self.authority = f"{url.host}:{url.port}"

    def attack(self) -> int:
        """The status of an answer to one request of any kind."""
        kind = self.choose.randrange(4)
        if kind == 0:
            return self._invoke(FUNCTIONS[1], str(self.choose.randrange(len(TRAPS))))
        if kind == 1:
            return self._invoke(FUNCTIONS[2], str(self.choose.randrange(len(STORMS))))
        if kind == 2:
            return self._invoke(FUNCTIONS[0], json.dumps(self.choose.choice(BODIES)))
        path = f"/fn/{HOSTILE}:{self._name(FUNCTIONS[0])}/"
        return self._ask("POST", path, self.choose.choice(BODIES).encode(), {"Content-Type": "text/plain"})

    def _name(self, case: Case) -> str:
        return self.house.function(case.module, **case.settings)

    def _invoke(self, case: Case, event: str) -> int:
        path, body = f"/2015-03-31/functions/{self._name(case)}/invocations", event.encode()
        signed = self.signer.sign("lambda", "POST", path, "", [(b"host", self.authority.encode())], body, time.time())
        headers = {name.decode(): value.decode() for name, value in signed}
        return self._ask("POST", path, body, {"Host": self.authority, **headers})

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def attacks(self, count: int) -> None:
        """Some on each connection: the kernel gives each to whichever worker."""
        for number in range(count):
            status = self.attack()
            assert status in (200, 204, 304, 502), status
            if number % 20 == 19:
                self.connection.close()
        self.connection.close()


def attack(house: House, count: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        under_way = [pool.submit(Attacker(house, seed).attacks, count // THREADS) for seed in range(THREADS)]
        for each in under_way:
            each.result()


@pytest.mark.slow
def test_thousands_of_hostile_requests_leave_nothing(house: House, exhaustive: bool) -> None:
    count = 100_000 if exhaustive else 10_000
    house.prepare(FUNCTIONS)
    attack(house, WARM_UP)
    before = house.baseline()
    with house.watched():
        attack(house, count)
    for number, was in before.footprints.items():
        now = footprint(before.workers[number])
        print(
            f"worker {number} after {count:,} hostile requests: {now.rss_bytes / was.rss_bytes - 1:+.1%} of"
            f" {was.rss_bytes:,} bytes; {now.descriptors} descriptors of {was.descriptors}, {now.other_mappings}"
            f" mappings of {was.other_mappings}, and the pool's {now.pool_mappings} of {was.pool_mappings}"
        )
        assert now.rss_bytes <= was.rss_bytes * GROWTH + ARENA_BYTES
        assert (now.descriptors, now.files) == (was.descriptors, was.files)
