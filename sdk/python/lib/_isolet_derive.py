"""hashlib's pbkdf2_hmac and scrypt, which CPython takes from OpenSSL; here they are the shim's."""

import _isolet


def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    """Password based key derivation function 2 (PKCS #5 v2.0) with HMAC as pseudorandom function."""
    import hashlib

    if not isinstance(hash_name, str):
        raise TypeError(f"pbkdf2_hmac() argument 'hash_name' must be str, not {type(hash_name).__name__}")
    try:
        size = hashlib.new(hash_name).digest_size
    except ValueError:
        raise ValueError(f"unsupported hash type {hash_name}") from None
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    length = size if dklen is None else dklen
    if length < 1:
        raise ValueError("key length must be greater than 0.")
    made = _isolet.pbkdf2(hash_name.lower().replace("-", ""), password, salt, iterations, length)
    return _slowly(hash_name, bytes(password), bytes(salt), iterations, length) if made is None else made


def _slowly(hash_name, password, salt, iterations, length):
    """With a hash that the shim has not."""
    import hmac

    keyed = hmac.new(password, digestmod=hash_name)
    key, number = b"", 0
    while len(key) < length:
        number += 1
        total = 0
        block = salt + number.to_bytes(4, "big")
        for _ in range(iterations):
            mac = keyed.copy()
            mac.update(block)
            block = mac.digest()
            total ^= int.from_bytes(block, "big")
        key += total.to_bytes(len(block), "big")
    return key[:length]


def scrypt(password, *, salt, n, r, p, maxmem=0, dklen=64):
    """scrypt password-based key derivation function (RFC 7914)."""
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if r < 1 or p < 1 or r * p >= 1 << 30 or dklen < 1:
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    # OpenSSL's limit unless the caller gives one.
    if 128 * r * (n + p + 2) > (maxmem or 32 << 20):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem: memory limit exceeded.")
    return _isolet.scrypt(password, salt, n, r, p, dklen)
