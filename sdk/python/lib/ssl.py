"""TLS, as far as clients name it: the host speaks it, checks certificates, and knows the authorities.

A context wraps a socket by telling it the server's name; from then on it fetches https. What a context is told about
certificates is kept and means nothing: checking cannot be turned off, and no authority can be added.
"""

import socket as _sockets
from collections import namedtuple
from enum import IntEnum, IntFlag

# Clients look for a version that they can trust; the host's own is newer.
OPENSSL_VERSION = "OpenSSL 3.0.0 (isolet: TLS is the host's)"
OPENSSL_VERSION_NUMBER = 0x30000000
OPENSSL_VERSION_INFO = (3, 0, 0, 0, 0)

HAS_SNI = HAS_ALPN = HAS_TLSv1_2 = HAS_TLSv1_3 = HAS_NEVER_CHECK_COMMON_NAME = True
HAS_ECDH = HAS_TLSv1 = HAS_TLSv1_1 = HAS_SSLv2 = HAS_SSLv3 = HAS_NPN = False
CHANNEL_BINDING_TYPES = []


class VerifyMode(IntEnum):
    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2


CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = VerifyMode


class VerifyFlags(IntFlag):
    VERIFY_DEFAULT = 0
    VERIFY_CRL_CHECK_LEAF = 4
    VERIFY_CRL_CHECK_CHAIN = 12
    VERIFY_X509_STRICT = 32
    VERIFY_X509_TRUSTED_FIRST = 0x8000
    VERIFY_X509_PARTIAL_CHAIN = 0x80000


class Options(IntFlag):
    OP_ALL = 0x80000050
    OP_NO_SSLv2 = 0
    OP_NO_SSLv3 = 0x2000000
    OP_NO_TLSv1 = 0x4000000
    OP_NO_TLSv1_1 = 0x10000000
    OP_NO_TLSv1_2 = 0x8000000
    OP_NO_TLSv1_3 = 0x20000000
    OP_NO_COMPRESSION = 0x20000
    OP_NO_TICKET = 0x4000
    OP_NO_RENEGOTIATION = 0x40000000
    OP_SINGLE_DH_USE = 0
    OP_SINGLE_ECDH_USE = 0
    OP_CIPHER_SERVER_PREFERENCE = 0x400000
    OP_IGNORE_UNEXPECTED_EOF = 0x80
    OP_ENABLE_KTLS = 8


class TLSVersion(IntEnum):
    MINIMUM_SUPPORTED = -2
    SSLv3 = 768
    TLSv1 = 769
    TLSv1_1 = 770
    TLSv1_2 = 771
    TLSv1_3 = 772
    MAXIMUM_SUPPORTED = -1


class _SSLMethod(IntEnum):
    PROTOCOL_TLS = 2
    PROTOCOL_TLSv1 = 3
    PROTOCOL_TLSv1_1 = 4
    PROTOCOL_TLSv1_2 = 5
    PROTOCOL_TLS_CLIENT = 16
    PROTOCOL_TLS_SERVER = 17


class AlertDescription(IntEnum):
    ALERT_DESCRIPTION_CLOSE_NOTIFY = 0
    ALERT_DESCRIPTION_INTERNAL_ERROR = 80


class SSLErrorNumber(IntEnum):
    SSL_ERROR_SSL = 1
    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_WANT_WRITE = 3
    SSL_ERROR_SYSCALL = 5
    SSL_ERROR_ZERO_RETURN = 6
    SSL_ERROR_EOF = 8


for _enum in (VerifyFlags, Options, _SSLMethod, AlertDescription, SSLErrorNumber):
    globals().update(_enum.__members__)
PROTOCOL_SSLv23 = PROTOCOL_TLS = _SSLMethod.PROTOCOL_TLS


class SSLError(OSError):
    library = reason = None


class SSLZeroReturnError(SSLError):
    pass


class SSLWantReadError(SSLError):
    pass


class SSLWantWriteError(SSLError):
    pass


class SSLSyscallError(SSLError):
    pass


class SSLEOFError(SSLError):
    pass


class SSLCertVerificationError(SSLError, ValueError):
    pass


CertificateError = SSLCertVerificationError
socket_error = OSError
_ASN1Object = namedtuple("_ASN1Object", "nid shortname longname oid")


class Purpose(_ASN1Object):
    pass


Purpose.SERVER_AUTH = Purpose(129, "serverAuth", "TLS Web Server Authentication", "1.3.6.1.5.5.7.3.1")
Purpose.CLIENT_AUTH = Purpose(130, "clientAuth", "TLS Web Client Authentication", "1.3.6.1.5.5.7.3.2")

DefaultVerifyPaths = namedtuple(
    "DefaultVerifyPaths", "cafile capath openssl_cafile_env openssl_cafile openssl_capath_env openssl_capath"
)


def get_default_verify_paths():
    return DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")


class SSLSession:
    pass


class SSLSocket(_sockets.socket):
    """A socket whose conversation is https."""

    context = None
    server_side = False
    server_hostname = None
    session = None
    session_reused = False

    @property
    def _sslobj(self):
        """Where httpcore looks for what was negotiated."""
        return self

    def do_handshake(self, block=False):
        pass

    def version(self):
        return "TLSv1.3"

    def cipher(self):
        return ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)

    def compression(self):
        return None

    def selected_alpn_protocol(self):
        return "http/1.1"

    def selected_npn_protocol(self):
        return None

    def getpeercert(self, binary_form=False):
        return b"" if binary_form else {}

    def get_channel_binding(self, cb_type="tls-unique"):
        return None

    def pending(self):
        return 0

    def read(self, length=1024, buffer=None):
        return self.recv(length) if buffer is None else self.recv_into(buffer, length)

    def write(self, data):
        return self.send(data)

    def unwrap(self):
        return self


class SSLObject:
    def __init__(self, *arguments, **options):
        raise TypeError("an isolate has no TLS over anything but its own sockets")


class MemoryBIO:
    def __init__(self):
        raise NotImplementedError("an isolate has no TLS over memory; the host speaks it")


class SSLContext:
    sslsocket_class = SSLSocket
    sslobject_class = SSLObject

    def __init__(self, protocol=PROTOCOL_TLS):
        self.protocol = protocol
        self.check_hostname = protocol == _SSLMethod.PROTOCOL_TLS_CLIENT
        self.verify_mode = CERT_REQUIRED if self.check_hostname else CERT_NONE
        self.verify_flags = VerifyFlags.VERIFY_DEFAULT
        self.options = Options.OP_ALL
        self.minimum_version = TLSVersion.TLSv1_2
        self.maximum_version = TLSVersion.MAXIMUM_SUPPORTED
        self.post_handshake_auth = False
        self.hostname_checks_common_name = False
        self.keylog_filename = None
        self.sni_callback = None

    def wrap_socket(
        self,
        sock,
        server_side=False,
        do_handshake_on_connect=True,
        suppress_ragged_eofs=True,
        server_hostname=None,
        session=None,
    ):
        if server_side:
            raise NotImplementedError("an isolate serves nobody by itself")
        made = self.sslsocket_class(sock.family, sock.type, sock.proto)
        made._peer, made._timeout = sock._peer, sock._timeout
        made.context, made.server_hostname = self, server_hostname
        made._server_name = server_hostname or (sock._peer[0] if sock._peer else "")
        sock.detach()
        return made

    def wrap_bio(self, *arguments, **options):
        raise NotImplementedError("an isolate has no TLS over memory; the host speaks it")

    def _told(self, *arguments, **options):
        """Kept by the host."""

    load_cert_chain = load_verify_locations = load_default_certs = set_default_verify_paths = load_dh_params = _told
    set_ciphers = set_alpn_protocols = set_npn_protocols = set_ecdh_curve = set_servername_callback = _told

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def get_ca_certs(self, binary_form=False):
        return []

    def get_ciphers(self):
        return []

    def session_stats(self):
        return {}


def create_default_context(purpose=Purpose.SERVER_AUTH, *, cafile=None, capath=None, cadata=None):
    return SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT)


def _create_unverified_context(protocol=None, **options):
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, CERT_NONE
    return context


_create_default_https_context = create_default_context
_create_stdlib_context = _create_unverified_context


def wrap_socket(sock, *arguments, **options):
    return SSLContext().wrap_socket(sock)


def match_hostname(cert, hostname):
    """The host has done it."""


def RAND_bytes(size):
    import os

    return os.urandom(size)


RAND_pseudo_bytes = RAND_bytes


def RAND_status():
    return True


def RAND_add(data, entropy):
    pass


def cert_time_to_seconds(text):
    import calendar
    import time

    return calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT"))


_PEM_HEAD, _PEM_FOOT = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def DER_cert_to_PEM_cert(data):
    import base64
    import textwrap

    return "\n".join([_PEM_HEAD, *textwrap.wrap(base64.standard_b64encode(data).decode(), 64), _PEM_FOOT]) + "\n"


def PEM_cert_to_DER_cert(text):
    import base64

    inner = text.strip().removeprefix(_PEM_HEAD).removesuffix(_PEM_FOOT)
    return base64.decodebytes(inner.encode())


def get_server_certificate(address, *arguments, **options):
    raise NotImplementedError("the host checks certificates and shows them to nobody")


def get_protocol_name(code):
    return _SSLMethod(code).name
