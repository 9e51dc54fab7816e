"""SHA-256 of nothing, then of each digest, as often as the body says; in Python itself. Source: FIPS 180-4."""

K: list[int] = []
START: list[int] = []


def prepare() -> None:
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    K[:] = [_fraction(prime, 3) for prime in primes[:64]]
    START[:] = [_fraction(prime, 2) for prime in primes[:8]]


def _fraction(number: int, root: int) -> int:
    """The first 32 bits behind the point of a root, by whole numbers."""
    wanted = number << 32 * root
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= wanted else (low, middle)
    return low & 0xFFFFFFFF


def sha256(text: bytes) -> bytes:
    """Of at most 55 bytes: one block."""
    block = text + b"\x80" + bytes(61 - len(text)) + (8 * len(text)).to_bytes(2, "big")
    w = [int.from_bytes(block[i : i + 4], "big") for i in range(0, 64, 4)]
    for i in range(16, 64):
        a, b = w[i - 15], w[i - 2]
        s0 = (a >> 7 | a << 25) ^ (a >> 18 | a << 14) ^ a >> 3
        s1 = (b >> 17 | b << 15) ^ (b >> 19 | b << 13) ^ b >> 10
        w.append((w[i - 16] + (s0 & 0xFFFFFFFF) + w[i - 7] + (s1 & 0xFFFFFFFF)) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = START
    for i in range(64):
        s1 = ((e >> 6 | e << 26) ^ (e >> 11 | e << 21) ^ (e >> 25 | e << 7)) & 0xFFFFFFFF
        t1 = h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]
        s0 = ((a >> 2 | a << 30) ^ (a >> 13 | a << 19) ^ (a >> 22 | a << 10)) & 0xFFFFFFFF
        t2 = s0 + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e, d, c, b, a = g, f, e, (d + t1) & 0xFFFFFFFF, c, b, a, (t1 + t2) & 0xFFFFFFFF
    return b"".join(
        ((word + start) & 0xFFFFFFFF).to_bytes(4, "big")
        for word, start in zip((a, b, c, d, e, f, g, h), START, strict=True)
    )


def work(body: str) -> str:
    digest = sha256(b"")
    for _ in range(1, int(body)):
        digest = sha256(digest)
    return digest.hex()
