"""Which addresses functions may reach: public ones, and those that the server's configuration opens. Pure.

Python's own `is_global` calls NAT64 and 6to4 forms of 169.254.169.254, `::127.0.0.1`, 168.63.129.16 and multicast
global (measured, CPython 3.11): hence lists of ours, and every address is looked at in all the forms it may stand for.

Laws:
- Of IPv6 only what is assigned as global unicast (2000::/3) is public, and NAT64's prefix; the rest is not.
- An address is as bad as the worst of its forms.
- NEVER is not opened by any configuration: link-local addresses, where clouds keep their machines' credentials, and
  what no connection can go to.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Reach(IntEnum):
    """From good to bad."""

    PUBLIC = 0
    PRIVATE = 1  # reached only where the configuration opens it
    NEVER = 2


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# Sources: IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890 and what came after it).
_NEVER = _networks(
    "0.0.0.0/8",  # "this network": Linux connects to itself
    "169.254.0.0/16",  # link-local, the metadata service of most clouds in it
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "100.100.100.200/32",  # metadata: Alibaba
    "168.63.129.16/32",  # the host of Azure's machines: a public address that is not
    "192.0.0.192/32",  # metadata: Oracle
    "::/128",
    "fe80::/10",
    "fec0::/10",  # site-local, of old
    "ff00::/8",
    "fd00:ec2::/32",  # metadata: AWS
    "fd20:ce::/32",  # metadata: Google
)
_PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # carriers' NAT
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4's relays
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001::/23",  # protocol assignments; Teredo is looked at below
    "2001:db8::/32",
    "3fff::/20",  # documentation
    "5f00::/16",  # segment routing
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
# Prefixes behind which the last 32 bits are an IPv4 address: mapped, translated, compatible, NAT64 (also a local one).
_IN_LAST_BITS = (
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("::/96"),
    _NAT64,
    IPv6Network("64:ff9b:1::/48"),
)
# ISATAP's interface identifiers, whatever is before them (RFC 5214).
_ISATAP = (0x00005EFE, 0x02005EFE)
_U32 = 0xFFFFFFFF


def inner(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that a gateway or a kernel may take this one for."""
    number = int(address)
    found = []
    if any(address in network for network in _IN_LAST_BITS) or (number >> 32) & _U32 in _ISATAP:
        found.append(IPv4Address(number & _U32))
    if address in _6TO4:
        found.append(IPv4Address((number >> 80) & _U32))
    if address in _TEREDO:
        found += [IPv4Address((number >> 64) & _U32), IPv4Address(~number & _U32)]  # server, client
    return found


def reach(address: Address) -> Reach:
    """How far an address may be trusted, in the worst of its forms."""
    if isinstance(address, IPv4Address):
        return _listed(address, Reach.PUBLIC)
    if address.scope_id:
        return Reach.NEVER
    if address.ipv4_mapped is not None:  # the same socket address, by another name
        return reach(address.ipv4_mapped)
    own = Reach.PUBLIC if address in _GLOBAL_UNICAST or address in _NAT64 else Reach.PRIVATE
    own = Reach.PUBLIC if address in _TEREDO else max(own, _listed(address, own))
    # ::1 is an address of its own, not 0.0.0.1.
    stands_for = [] if int(address) == 1 else inner(address)
    return max([own, *(reach(other) for other in stands_for)])


def _listed(address: Address, otherwise: Reach) -> Reach:
    for networks, which in ((_NEVER, Reach.NEVER), (_PRIVATE, Reach.PRIVATE)):
        if any(address in network for network in networks if network.version == address.version):
            return which
    return otherwise


def plain(address: Address) -> Address:
    """An IPv4 address where IPv6 only spells it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def is_reachable(address: Address, opened: Sequence[Network]) -> bool:
    """Whether a function may be connected to `address`: it is public, or it is private and in `opened`."""
    how = reach(address)
    if how is Reach.PRIVATE:
        bare = plain(address)
        return any(bare in network for network in opened if network.version == bare.version)
    return how is Reach.PUBLIC


def parse_network(text: str) -> Network:
    """A network or an address that configuration may open. Raises ValueError in words."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network; write 127.0.0.1 or 10.0.0.0/8") from None
    if any(network.version == never.version and network.overlaps(never) for never in _NEVER):
        raise ValueError(f"{text!r} holds addresses that are never reached (link-local, multicast); open less")
    if network.version == 6 and _overlaps_forms(network):
        raise ValueError(f"{text!r} holds other addresses' IPv6 forms; open those addresses themselves")
    return network


def _overlaps_forms(network: Network) -> bool:
    forms = (*_IN_LAST_BITS, _6TO4, _TEREDO)
    return network != ip_network("::1") and any(network.overlaps(form) for form in forms)


def as_address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
