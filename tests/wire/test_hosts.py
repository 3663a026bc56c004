"""Which addresses a host is."""

import socket

import pytest

from inferry.wire.hosts import addresses_of, is_everywhere, is_loopback, with_port

UNKNOWN = "no-such-host.invalid"


def has(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, 0), family=family).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST"])
async def test_localhost_is_both_loopback_addresses(name: str) -> None:
    assert await addresses_of(name) == [one for one in ("127.0.0.1", "::1") if has(one)]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "0.0.0.0"])
async def test_an_address_is_itself(address: str) -> None:
    assert await addresses_of(address) == [address]


async def test_no_host_is_every_address() -> None:
    (address,) = await addresses_of("")
    assert is_everywhere(address)


@pytest.mark.parametrize("host", [UNKNOWN, "192.0.2.1", "2001:db8::1", "a..b", "ü" * 70, " "])
async def test_a_host_that_is_not_this_machine_is_named(host: str) -> None:
    with pytest.raises(OSError, match=f"cannot listen on '{host}': "):
        await addresses_of(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_only_this_machine_reaches_a_loopback_host(host: str) -> None:
    assert is_loopback(host)
    assert not is_everywhere(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0", "0.0", "0x0", ""])
def test_every_address_of_a_machine_has_many_names(host: str) -> None:
    assert is_everywhere(host)
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "gateway.example.com", "fe80::1"])
def test_another_host_is_neither(host: str) -> None:
    assert not is_everywhere(host)
    assert not is_loopback(host)


def test_a_port_is_kept_apart_from_an_address() -> None:
    assert with_port("127.0.0.1", 1) == "127.0.0.1:1"
    assert with_port("::1", 1) == "[::1]:1"
