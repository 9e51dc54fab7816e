"""Sockets of an isolate: a connection is a conversation in HTTP that the host has with the server by `fetch`.

A client (http.client, urllib, urllib3) connects, sends the bytes of a request and reads those of an answer. What it
sends is read as HTTP, asked for by `fetch`, and what comes back is written as HTTP again; so clients are what they are,
and the rest of a socket is constants that they name.

Laws:
- Nothing is asked for until the client reads, or sends another request.
- What the host refuses is an OSError where the client reads, as a broken connection would be; NotGranted names the
  grant. Certificates are checked by the host.
"""

import isolet

SocketType = None  # set below
AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW = 1, 2, 3
SOCK_NONBLOCK, SOCK_CLOEXEC = 0x800, 0x80000
SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_IP = 1, 6, 17, 0
SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE = 2, 3, 4, 6, 7, 8, 9
SO_LINGER, SO_REUSEPORT, SO_RCVTIMEO, SO_SNDTIMEO, SOMAXCONN = 13, 15, 20, 21, 4096
IPPROTO_IP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, IPPROTO_RAW = 0, 1, 6, 17, 41, 255
IPV6_V6ONLY, IP_TOS, IP_TTL, IP_MULTICAST_TTL, IP_ADD_MEMBERSHIP = 26, 1, 2, 33, 35
TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT = 1, 2, 3, 4, 5, 6, 18
MSG_OOB, MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_NOSIGNAL = 1, 2, 64, 256, 16384
SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2
AI_PASSIVE, AI_CANONNAME, AI_NUMERICHOST, AI_V4MAPPED, AI_ALL, AI_ADDRCONFIG, AI_NUMERICSERV = 1, 2, 4, 8, 16, 32, 1024
EAI_AGAIN, EAI_FAIL, EAI_FAMILY, EAI_NODATA, EAI_NONAME, EAI_SERVICE, EAI_SOCKTYPE = -3, -4, -6, -5, -2, -8, -7
NI_NUMERICHOST, NI_NUMERICSERV, NI_NAMEREQD, NI_DGRAM, NI_MAXHOST, NI_MAXSERV = 1, 2, 8, 16, 1025, 32
INADDR_ANY, INADDR_LOOPBACK, INADDR_BROADCAST, INADDR_NONE = 0, 0x7F000001, 0xFFFFFFFF, 0xFFFFFFFF
has_ipv6 = True
CAPI = None

error = OSError
timeout = TimeoutError


class herror(OSError):
    pass


class gaierror(OSError):
    pass


_EOPNOTSUPP, _ENOTCONN, _ECONNRESET, _ECONNREFUSED, _ECONNABORTED, _EACCES = 95, 107, 104, 111, 103, 13
_default_timeout = None
# Numbers for fileno(), far from those of files.
_next_number = 1 << 16


def getdefaulttimeout():
    return _default_timeout


def setdefaulttimeout(seconds):
    global _default_timeout
    _default_timeout = None if seconds is None else float(seconds)


def _refused(what):
    return OSError(_EOPNOTSUPP, f"{what}: an isolate speaks HTTP as a client, and nothing else")


class socket:
    __slots__ = ("__dict__",)  # the class of the same name in `socket` brings weak references

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        global _next_number
        if fileno is not None:
            raise _refused("a socket of a descriptor")
        self._family = AF_INET if family == -1 else int(family)
        self._type = SOCK_STREAM if type == -1 else int(type) & 0xF
        self._proto = max(int(proto), 0)
        self._peer = None
        self._server_name = None  # of TLS; None: plain
        self._sent = bytearray()
        self._answer = b""
        self._at = 0
        self._ended = False  # the answer is the last one
        self._timeout = _default_timeout
        self._number = _next_number = _next_number + 1

    # ── the conversation ────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, address):
        if self._type != SOCK_STREAM or self._family not in (AF_INET, AF_INET6):
            raise _refused("connect")
        self._peer = (str(address[0]), int(address[1]))

    def connect_ex(self, address):
        self.connect(address)
        return 0

    def send(self, data, flags=0):
        if self._peer is None:
            raise OSError(_ENOTCONN, "not connected")
        self._sent += data
        return memoryview(data).nbytes

    def sendall(self, data, flags=0):
        self.send(data)

    def sendmsg(self, buffers, *others):
        return sum(self.send(buffer) for buffer in buffers)

    def recv(self, size, flags=0):
        self._converse()
        part = self._answer[self._at : self._at + size]
        if not flags & MSG_PEEK:
            self._at += len(part)
        return part

    def recv_into(self, buffer, nbytes=0, flags=0):
        view = memoryview(buffer).cast("B")
        part = self.recv(nbytes or len(view), flags)
        view[: len(part)] = part
        return len(part)

    def recvfrom(self, size, flags=0):
        return self.recv(size, flags), self._peer

    def _converse(self):
        """Asks for what was sent, if what came has been read."""
        if self._at < len(self._answer) or not self._sent:
            return
        if self._ended:
            raise ConnectionResetError(_ECONNRESET, "the server has closed this connection")
        request = _Request(self._sent)
        if not request.whole:
            return
        del self._sent[: request.length]
        self._answer, self._at = self._asked(request), 0
        self._ended = request.closes

    def _asked(self, request):
        host, port = self._peer
        scheme = "http" if self._server_name is None else "https"
        authority = request.host or _authority(host, port, scheme)
        url = request.target if "://" in request.target else f"{scheme}://{authority}{request.target}"
        try:
            answer = isolet.fetch(
                url,
                method=request.method,
                headers=request.headers,
                body=request.body,
                timeout=self._timeout or None,
                redirect="manual",
            )
        except isolet.CapabilityError as error:
            raise _as_os_error(error) from error
        return _written(answer, request)

    # ── what a socket has besides ───────────────────────────────────────────────────────────────────────────────

    @property
    def family(self):
        return self._family

    @property
    def type(self):
        return self._type

    @property
    def proto(self):
        return self._proto

    def settimeout(self, seconds):
        self._timeout = None if seconds is None else float(seconds)

    def gettimeout(self):
        return self._timeout

    @property
    def timeout(self):
        return self._timeout

    def setblocking(self, blocking):
        self._timeout = None if blocking else 0.0

    def getblocking(self):
        return self._timeout != 0.0

    def setsockopt(self, *option):
        pass

    def getsockopt(self, level, name, size=None):
        return 0 if size is None else bytes(size)

    def getpeername(self):
        if self._peer is None:
            raise OSError(_ENOTCONN, "not connected")
        return self._peer

    def getsockname(self):
        return ("127.0.0.1", 0)

    def fileno(self):
        return self._number

    def close(self):
        self._number = -1

    def detach(self):
        number, self._number = self._number, -1
        return number

    def shutdown(self, how):
        pass

    def bind(self, address):
        raise _refused("bind")

    def listen(self, backlog=0):
        raise _refused("listen")

    def _accept(self):
        raise _refused("accept")

    def sendto(self, *arguments):
        raise _refused("sendto")


SocketType = socket


def _as_os_error(error):
    """The client's kind of error, with the host's words. Its cause is the CapabilityError."""
    if isinstance(error, isolet.Timeout):
        return TimeoutError(str(error))
    if isinstance(error, (isolet.NotGranted, isolet.Refused)):
        return PermissionError(_EACCES, str(error))
    if isinstance(error, isolet.ConnectionFailed):
        return ConnectionRefusedError(_ECONNREFUSED, str(error))
    return ConnectionAbortedError(_ECONNABORTED, str(error))


def _authority(host, port, scheme):
    name = f"[{host}]" if ":" in host else host
    return name if port == (80 if scheme == "http" else 443) else f"{name}:{port}"


class _Request:
    """A request as it was sent. `whole` once its body has come, then `length` bytes of what was sent are it."""

    whole = False

    def __init__(self, sent):
        head, separator, rest = bytes(sent).partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, version = first.split(" ", 2)
        self.headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        named = {name.lower(): value for name, value in self.headers}
        self.host = named.get("host")
        connection = named.get("connection", "").lower()
        self.closes = "close" in connection or (version == "HTTP/1.0" and "keep-alive" not in connection)
        # Without a word of the client's the host would undo the compression; then clients would not see it either.
        if "accept-encoding" not in named:
            self.headers.append(("Accept-Encoding", "identity"))
        if "chunked" in named.get("transfer-encoding", "").lower():
            body, used = _unchunked(rest)
        else:
            used = int(named.get("content-length", "0"))
            body = rest[:used] if len(rest) >= used else None
        if body is None:
            return
        self.body = body or None
        self.length = len(head) + 4 + used
        self.whole = True


def _unchunked(rest):
    """(body, bytes used), or (None, 0) while it is not all there."""
    body, at = b"", 0
    while True:
        end = rest.find(b"\r\n", at)
        if end < 0:
            return None, 0
        size = int(rest[at:end].split(b";")[0], 16)
        if len(rest) < end + 2 + size + 2:
            return None, 0
        body += rest[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
        if size == 0:
            return body, at


def _written(answer, request):
    """The answer as HTTP. Its body has the length that it has, whatever the server said of it."""
    from http import HTTPStatus

    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    without_body = request.method == "HEAD" or answer.status in (204, 304) or answer.status < 200
    lines += [f"{name}: {value}" for name, value in answer.header_list if without_body or name != "content-length"]
    if not without_body:
        lines.append(f"content-length: {len(answer.body)}")
    if request.closes:
        lines.append("connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
    return head if without_body else head + answer.body


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_address(host):
    return ":" in host or (host.count(".") == 3 and host.replace(".", "").isdigit())


_PORTS = {"http": 80, "https": 443}


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """One entry, with the name itself for an address: the host resolves names when it connects."""
    name = host.decode() if isinstance(host, bytes) else host or "localhost"
    if isinstance(port, (str, bytes)):
        text = port.decode() if isinstance(port, bytes) else port
        if not text.isdigit() and text not in _PORTS:
            raise gaierror(EAI_SERVICE, "Servname not supported for ai_socktype")
        port = _PORTS.get(text) or int(text)
    if flags & AI_NUMERICHOST and not _is_address(name):
        raise gaierror(EAI_NONAME, "Name or service not known")
    kind = AF_INET6 if ":" in name else AF_INET
    address = (name, port or 0, 0, 0) if kind == AF_INET6 else (name, port or 0)
    return [(kind, type or SOCK_STREAM, proto or IPPROTO_TCP, "", address)]


def gethostbyname(host):
    if _is_address(host):
        return host
    raise gaierror(EAI_AGAIN, f"{host}: an isolate does not resolve names; the host does, when it fetches")


def gethostbyname_ex(host):
    return host, [], [gethostbyname(host)]


def gethostbyaddr(address):
    raise herror(1, "Unknown host")


def getnameinfo(address, flags):
    return address[0], str(address[1])


def gethostname():
    return "localhost"


def getservbyname(name, protocol="tcp"):
    if name in _PORTS:
        return _PORTS[name]
    raise OSError("service/proto not found")


def getservbyport(port, protocol="tcp"):
    for name, number in _PORTS.items():
        if number == port:
            return name
    raise OSError("port/proto not found")


def getprotobyname(name):
    return {"tcp": IPPROTO_TCP, "udp": IPPROTO_UDP, "icmp": IPPROTO_ICMP, "ip": IPPROTO_IP}[name]


def socketpair(*arguments):
    raise _refused("socketpair")


def close(number):
    pass


def dup(number):
    raise _refused("dup")


def if_nameindex():
    return []


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def htons(number):
    return int.from_bytes(number.to_bytes(2, "big"), "little")


def htonl(number):
    return int.from_bytes(number.to_bytes(4, "big"), "little")


ntohs, ntohl = htons, htonl


def inet_aton(text):
    parts = [int(part, 0) for part in text.split(".")]
    if not 1 <= len(parts) <= 4 or any(not 0 <= part < 256 for part in parts[:-1]):
        raise OSError("illegal IP address string passed to inet_aton")
    try:
        return bytes(parts[:-1]) + parts[-1].to_bytes(5 - len(parts), "big")
    except OverflowError:
        raise OSError("illegal IP address string passed to inet_aton") from None


def inet_ntoa(packed):
    if len(packed) != 4:
        raise OSError("packed IP wrong length")
    return ".".join(map(str, packed))


def inet_pton(family, text):
    import ipaddress

    try:
        address = ipaddress.IPv6Address(text) if family == AF_INET6 else ipaddress.IPv4Address(text)
    except ValueError:
        raise OSError("illegal IP address string passed to inet_pton") from None
    return address.packed


def inet_ntop(family, packed):
    import ipaddress

    if len(packed) != (16 if family == AF_INET6 else 4):
        raise ValueError("invalid length of packed IP address string")
    return str(ipaddress.ip_address(bytes(packed)))
