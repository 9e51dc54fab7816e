"""Which addresses functions reach. A private address is private in every form that something on the way may undo."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.addresses import Reach, is_reachable, parse_network, plain, reach

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
INSIDE = [
    IPv4Network(text)
    for text in ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                 "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4")
]  # fmt: skip


def forms(address: IPv4Address) -> list[IPv6Address]:
    """Every spelling of an IPv4 address as one of IPv6 that something on the way may undo."""
    number = int(address)
    return [
        IPv6Address((0xFFFF << 32) | number),  # mapped
        IPv6Address((0xFFFF << 48) | number),  # translated (RFC 2765)
        IPv6Address(number),  # compatible
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),  # NAT64
        IPv6Address(int(IPv6Address("64:ff9b:1::")) | number),  # a local NAT64
        IPv6Address((0x2002 << 112) | (number << 80) | 1),  # 6to4
        IPv6Address((0x20010000 << 96) | (number << 64) | 0xFFFFFFFF ^ int(IPv4Address("8.8.8.8"))),  # Teredo's server
        IPv6Address((0x20010000 << 96) | (int(IPv4Address("8.8.8.8")) << 64) | (0xFFFFFFFF ^ number)),  # its client
        IPv6Address(int(IPv6Address("2a00:1450::")) | (0x00005EFE << 32) | number),  # ISATAP
        IPv6Address(int(IPv6Address("2a00:1450::")) | (0x02005EFE << 32) | number),
    ]


inside = st.sampled_from(INSIDE).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(IPv4Address)
)


@given(inside)
def test_what_is_not_public_is_in_no_form(address: IPv4Address) -> None:
    assert not is_reachable(address, ())
    for form in forms(address):
        assert not is_reachable(form, ()), form


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_form_is_better_than_the_address_itself(address: IPv4Address) -> None:
    # ::1 is loopback, and not 0.0.0.1.
    assert all(reach(form) >= reach(address) for form in forms(address) if form != ip_address("::1"))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_of_ipv6_only_global_unicast_is_public(address: IPv6Address) -> None:
    if reach(address) is Reach.PUBLIC:
        mapped = address.ipv4_mapped
        assert mapped is not None or address in ip_network("2000::/3") or address in ip_network("64:ff9b::/96")


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_what_python_calls_private_is_not_public(address: IPv4Address) -> None:
    if not address.is_global:
        assert reach(address) is not Reach.PUBLIC


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_what_python_calls_private_is_not_public_in_ipv6(address: IPv6Address) -> None:
    if not address.is_global and address not in ip_network("2001::/32") and address not in ip_network("2002::/16"):
        assert reach(address) is not Reach.PUBLIC


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.15.255.255", "172.32.0.0", "223.255.255.255", "2606:4700::1111",
     "2a00:1450:4001::200e", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"],
)  # fmt: skip
def test_public_addresses_are_reached(text: str) -> None:
    assert is_reachable(ip_address(text), ())


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "0.0.0.0", "10.0.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200",
     "192.0.0.192", "255.255.255.255", "224.0.0.251", "::", "::1", "::127.0.0.1", "::ffff:169.254.169.254",
     "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fe80::1", "fe80::1%eth0", "2a00::1%eth0", "fc00::1", "fd00:ec2::254",
     "fd20:ce::254", "ff02::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1", "fec0::1", "1::1"],
)  # fmt: skip
def test_these_are_not(text: str) -> None:
    assert not is_reachable(ip_address(text), ())


def test_what_is_opened_is_reached_in_its_own_form_only() -> None:
    assert is_reachable(ip_address("127.0.0.1"), LOOPBACK)
    assert is_reachable(ip_address("::1"), LOOPBACK)
    assert is_reachable(ip_address("::ffff:127.0.0.1"), LOOPBACK), "the same socket address"
    assert plain(ip_address("::ffff:127.0.0.1")) == ip_address("127.0.0.1")
    assert not is_reachable(ip_address("10.0.0.1"), LOOPBACK)
    for text in ("::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"):
        assert not is_reachable(ip_address(text), LOOPBACK)


@given(inside.filter(lambda address: reach(address) is Reach.NEVER))
def test_some_addresses_nothing_opens(address: IPv4Address) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert not is_reachable(address, everything)
    assert not any(is_reachable(form, everything) for form in forms(address) if form != ip_address("::1"))


@pytest.mark.parametrize("text", ["127.0.0.1", "10.0.0.0/8", "192.168.1.0/24", "::1", "fd12::/16", "2001:db8::/32"])
def test_a_network_can_be_opened(text: str) -> None:
    assert is_reachable(parse_network(text)[0], (parse_network(text),))


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "10.0.0.1/8", "0.0.0.0/0", "169.254.169.254", "169.254.0.0/16", "::/0", "fe80::/10",
     "::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "224.0.0.1", "fd00::/8"],
)  # fmt: skip
def test_others_cannot(text: str) -> None:
    with pytest.raises(ValueError, match=r"; (write|open) "):
        parse_network(text)
