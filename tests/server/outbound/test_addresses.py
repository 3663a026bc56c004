"""Which addresses a backend may have."""

import pytest

from inferry.server.outbound.addresses import address_allowed

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"]
PUBLIC_INSIDE = ["::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
]
PRIVATE_INSIDE = [
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::254%eth0",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "ff05::2",
    "240.0.0.1",
    "255.255.255.255",
]
NEVER_INSIDE = [
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "::ffff:100.100.100.200",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::6464:64c8",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "2002:a9fe:a9fe::1",
    "::a9fe:a9fe",
    "::ffff:0:a9fe:a9fe",
    "::ffff:0:7f00:1",
    "::7f00:1",
    "::2",
    "2001:0:a9fe:a9fe::1",
]


@pytest.mark.parametrize("private_allowed", [True, False])
@pytest.mark.parametrize("address", PUBLIC + PUBLIC_INSIDE)
def test_public_addresses_are_allowed(address: str, *, private_allowed: bool) -> None:
    assert address_allowed(address, private_allowed=private_allowed)


@pytest.mark.parametrize("address", PRIVATE + PRIVATE_INSIDE)
def test_private_addresses_are_allowed_where_the_server_may_have_one(address: str) -> None:
    assert address_allowed(address, private_allowed=True)
    assert not address_allowed(address, private_allowed=False)


@pytest.mark.parametrize("private_allowed", [True, False])
@pytest.mark.parametrize("address", NEVER + NEVER_INSIDE)
def test_some_addresses_are_never_allowed(address: str, *, private_allowed: bool) -> None:
    assert not address_allowed(address, private_allowed=private_allowed)


def test_addresses_are_remembered_within_a_limit() -> None:
    limit = address_allowed.cache_parameters()["maxsize"]
    assert limit is not None
    for number in range(limit + 10):
        address_allowed(f"8.8.{number // 256}.{number % 256}", private_allowed=False)
    assert address_allowed.cache_info().currsize == limit
    assert address_allowed("10.0.0.1", private_allowed=True)
    assert not address_allowed("10.0.0.1", private_allowed=False)
