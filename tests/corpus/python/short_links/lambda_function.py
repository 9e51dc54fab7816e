import hashlib
import ipaddress
import string
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

ALPHABET = string.digits + string.ascii_letters
TRACKING = {"gclid", "fbclid", "ref"}
DEFAULT_PORTS = {"http": 80, "https": 443}


class Rejected(ValueError):
    pass


def base62(number):
    digits = []
    while number:
        number, rest = divmod(number, 62)
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits)) or "0"


def normalise(url):
    parts = urlsplit(url.strip())
    if parts.scheme not in DEFAULT_PORTS:
        raise Rejected(f"scheme {parts.scheme!r}")
    if parts.username or parts.password:
        raise Rejected("credentials in URL")
    host = (parts.hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        host = host.encode("idna").decode("ascii")
    else:
        if address.is_private or address.is_loopback:
            raise Rejected(f"{address} is not public")
        host = f"[{address.compressed}]" if address.version == 6 else str(address)
    if parts.port and parts.port != DEFAULT_PORTS[parts.scheme]:
        host += f":{parts.port}"
    query = sorted((k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in TRACKING and not k.startswith("utm_"))
    path = quote(unquote(urljoin("/", parts.path or "/")), safe="/:@!$&'()*+,;=~-._")
    return urlunsplit((parts.scheme, host, path, urlencode(query), parts.fragment))


def lambda_handler(event, context):
    links = {}
    for url in event["urls"]:
        try:
            target = normalise(url)
        except Rejected as reason:
            links[url] = {"rejected": str(reason)}
            continue
        digest = hashlib.sha256(target.encode()).digest()
        links[url] = {"target": target, "code": base62(int.from_bytes(digest[:6], "big")), "etag": hashlib.blake2b(digest, digest_size=8).hexdigest()}
    return links
