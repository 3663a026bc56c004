"""Names whose look-up is slow, fails or never ends; only the name servers are played."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from inferry.server.outbound import names as module
from inferry.server.outbound.names import Resolver

Infos = list[tuple[Any, ...]]


class NameServers:
    """What answers look-ups; a name may hang, fail, or have moved."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.failing: dict[str, int] = {}
        self.address = "192.0.2.1"
        self.asked: Counter[str] = Counter()
        self.released = threading.Event()

    def ask(self, host: str, *_given: Any, **_more: Any) -> Infos:
        self.asked[host] += 1
        if host in self.hanging:
            self.released.wait()
        if host in self.failing:
            raise socket.gaierror(self.failing[host], "out of order")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, 0))]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers.ask)
    yield servers
    servers.released.set()


async def addresses(resolver: Resolver, host: str) -> list[str]:
    async with asyncio.timeout(10):
        return [found["host"] for found in await resolver.resolve(host, 80)]


async def test_names_that_hang_hold_up_no_other(servers: NameServers) -> None:
    resolver = Resolver()
    servers.hanging = {f"hangs-{number}.example" for number in range(100)}
    waiting = [asyncio.create_task(resolver.resolve(host)) for host in servers.hanging]
    await asyncio.sleep(0)
    assert await addresses(resolver, "healthy.example") == ["192.0.2.1"]
    assert not any(one.done() for one in waiting)
    threads = [one for one in threading.enumerate() if one.name.startswith("look up hangs")]
    assert len(threads) == len(waiting)
    assert all(one.daemon for one in threads)
    servers.released.set()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("trouble", ["it hangs", "it fails"])
async def test_a_name_that_was_found_before_has_its_last_addresses_meanwhile(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    resolver = Resolver()
    await addresses(resolver, "a.example")
    monkeypatch.setattr(module, "PATIENCE_S", 0)
    if trouble == "it hangs":
        servers.hanging = {"a.example"}
    else:
        servers.failing = {"a.example": socket.EAI_AGAIN}
    servers.address = "192.0.2.2"
    assert await addresses(resolver, "a.example") == ["192.0.2.1"]


async def test_an_answer_that_nobody_waited_for_counts_from_then_on(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver()
    await addresses(resolver, "a.example")
    monkeypatch.setattr(module, "PATIENCE_S", 0)
    servers.hanging, servers.address = {"a.example"}, "192.0.2.2"
    assert await addresses(resolver, "a.example") == ["192.0.2.1"]
    (late,) = resolver._under_way.values()
    servers.released.set()
    await late
    servers.failing = {"a.example": socket.EAI_AGAIN}
    assert await addresses(resolver, "a.example") == ["192.0.2.2"]


async def test_a_name_that_certainly_is_no_more_has_no_addresses(servers: NameServers) -> None:
    resolver = Resolver()
    await addresses(resolver, "a.example")
    servers.failing = {"a.example": socket.EAI_NONAME}
    with pytest.raises(socket.gaierror):
        await resolver.resolve("a.example")


async def test_a_name_is_looked_up_once_for_all_who_wait(servers: NameServers) -> None:
    resolver = Resolver()
    servers.hanging = {"a.example"}
    waiting = [asyncio.create_task(resolver.resolve("a.example", port)) for port in (80, 81)]
    await asyncio.sleep(0)
    servers.released.set()
    found = await asyncio.gather(*waiting)
    assert [each[0]["port"] for each in found] == [80, 81]
    assert servers.asked == {"a.example": 1}


async def test_of_too_many_names_at_once_the_new_ones_are_refused(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_UPS_LIMIT", 1)
    resolver = Resolver()
    await addresses(resolver, "known.example")
    servers.hanging = {"hangs.example"}
    waiting = asyncio.create_task(resolver.resolve("hangs.example"))
    await asyncio.sleep(0)
    with pytest.raises(socket.gaierror, match="too many names"):
        await resolver.resolve("new.example")
    assert await addresses(resolver, "known.example") == ["192.0.2.1"]
    servers.released.set()
    await waiting


async def test_of_many_names_only_so_many_are_remembered(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NAMES_KEPT", 3)
    resolver = Resolver()
    for number in range(10):
        await addresses(resolver, f"{number}.example")
    assert len(resolver._last) <= 3


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_what_can_be_no_name_is_an_error_of_names(host: str) -> None:
    with pytest.raises(socket.gaierror):
        await Resolver().resolve(host)


async def test_the_names_of_this_machine_are_found() -> None:
    assert "127.0.0.1" in await addresses(Resolver(), "localhost")
