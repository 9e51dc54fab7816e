"""An access log as a busy web server writes it, from a seed: no real one may be had, since they name people.

The format is Apache's Combined Log Format as its documentation has it (https://httpd.apache.org/docs/2.4/logs.html).
The shape is what measurements of web traffic agree on: paths follow Zipf's law, arrivals a day's curve, few addresses
send most requests, sizes are log-normal, a scanner knocks now and then. The addresses are those reserved for
documentation (RFC 5737, RFC 3849).

    python generate.py [MEGABYTES] [SEED] > access.log
"""

from __future__ import annotations

import datetime
import itertools
import math
import random
import sys

SECTIONS = ("blog", "docs", "shop", "account", "static/css", "static/js", "images", "api/v1", "search", "about")
WORDS = ("install", "getting-started", "release", "pricing", "café", "index", "cart", "profile", "news", "faq", "team")
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
    'Agent with \\"quotes\\" and a \\\\ in it',
    "-",
)
SCANS = (
    ('"\\x16\\x03\\x01\\x02"', 400),
    ('"GET /wp-login.php HTTP/1.1"', 404),
    ('"GET /.env HTTP/1.1"', 404),
    ('"-"', 408),
    ('"OPTIONS * HTTP/1.0"', 200),
)


def paths(random_: random.Random, count: int) -> list[str]:
    found = ["/", "/favicon.ico", "/robots.txt"]
    for number in range(count - len(found)):
        section, word = random_.choice(SECTIONS), random_.choice(WORDS)
        # Apache writes what is not ASCII as \xhh; browsers send it percent-encoded.
        found.append(f"/{section}/{word}-{number}".replace("é", "%C3%A9"))
    return found


def lines(size_bytes: int, seed: int) -> list[str]:
    """Whole lines of together at most `size_bytes`, in order of time."""
    random_ = random.Random(seed)
    known = paths(random_, 4000)
    # Zipf: the n-th path is asked for in proportion to 1/n.
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(known) + 1)))
    hosts = [f"192.0.2.{n}" for n in range(1, 255)] + [f"198.51.100.{n}" for n in range(1, 255)]
    hosts += [f"2001:db8::{n:x}" for n in range(1, 200)]
    clock = datetime.datetime(2026, 11, 19, 0, 0, 0)
    made: list[str] = []
    left = size_bytes
    while True:
        # Twice as busy in the afternoon as before dawn.
        hour = clock.hour + clock.minute / 60
        per_second = 6 * (1.5 + math.sin((hour - 9) / 24 * 2 * math.pi)) / 2
        clock += datetime.timedelta(seconds=random_.expovariate(per_second))
        line = _line(random_, clock, known, weights, hosts)
        left -= len(line) + 1
        if left < 0:
            return made
        made.append(line)


def _line(
    random_: random.Random, clock: datetime.datetime, known: list[str], weights: list[float], hosts: list[str]
) -> str:
    host = hosts[int(len(hosts) * random_.random() ** 3)]
    time = clock.strftime("%d/%b/%Y:%H:%M:%S +0100")
    user = "-" if random_.random() < 0.97 else random_.choice(("frank", "ada", "grace"))
    if random_.random() < 0.01:
        request, status = random_.choice(SCANS)
        return f'{host} - {user} [{time}] {request} {status} 226 "-" "-"'
    path = random_.choices(known, cum_weights=weights)[0]
    draw = random_.random()
    method = "GET" if draw < 0.93 else "POST" if draw < 0.98 else "HEAD"
    query = f"?q={random_.choice(WORDS)}&page={random_.randrange(9)}".replace("é", "%C3%A9") if draw < 0.15 else ""
    status = random_.choices((200, 304, 301, 404, 500, 206, 403, 503), (82, 9, 3, 4, 0.6, 0.7, 0.5, 0.2))[0]
    size = "-" if status == 304 or method == "HEAD" else str(int(random_.lognormvariate(8.5, 1.4)))
    referer = "-" if draw < 0.5 else f"https://www.example.com{random_.choices(known, cum_weights=weights)[0]}"
    agent = random_.choices(AGENTS, (40, 18, 12, 20, 6, 2, 1, 1))[0]
    return f'{host} - {user} [{time}] "{method} {path}{query} HTTP/1.1" {status} {size} "{referer}" "{agent}"'


def log(size_bytes: int, seed: int = 1) -> bytes:
    return "".join(line + "\n" for line in lines(size_bytes, seed)).encode()


if __name__ == "__main__":
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    sys.stdout.buffer.write(log(int(megabytes * 1e6), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
