"""What users want to be sent goes only where it may, and little of an answer is read."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from aiohttp import web

from inferry.server.outbound.addresses import allow_networks
from inferry.server.outbound.courier import READ_BYTES, Courier
from inferry.server.outbound.errors import AnswerTimeoutError, ForbiddenAddressError
from tests.receivers import Message, answer, running_receiver

LOOPBACK = [ip_network("127.0.0.0/8")]


@pytest.fixture
async def courier() -> AsyncIterator[Courier]:
    courier = Courier(LOOPBACK)
    await courier.start()
    yield courier
    await courier.close()


async def test_a_message_is_posted_as_it_is_with_its_headers(courier: Courier) -> None:
    async with running_receiver(answer(200, "thanks", **{"Retry-After": "7"})) as receiver:
        receipt = await courier.post(receiver.url, b'{"a":1}', {"webhook-id": "x"}, 5)
        message = await receiver.next()
    assert (receipt.status, receipt.body, receipt.retry_after_s) == (200, b"thanks", 7)
    assert (message.body, message.id) == (b'{"a":1}', "x")
    assert message.headers["content-type"] == "application/json"
    assert message.headers["user-agent"] == "inferry"


async def test_of_a_large_answer_the_beginning_is_read_and_its_status_counts(
    courier: Courier,
) -> None:
    async with running_receiver(answer(200, "x" * (1 << 20))) as receiver:
        receipt = await courier.post(receiver.url, b"{}", {}, 5)
    assert receipt.status == 200
    assert 0 < len(receipt.body) <= READ_BYTES


async def test_a_redirect_is_an_answer_like_any_other(courier: Courier) -> None:
    async with running_receiver(answer(308, Location="/elsewhere")) as receiver:
        assert (await courier.post(receiver.url, b"{}", {}, 5)).status == 308
        assert len(receiver.history) == 1


async def test_an_answer_that_does_not_come_is_given_up(courier: Courier) -> None:
    let_go = asyncio.Event()

    async def hang(_message: Message) -> web.StreamResponse:
        await let_go.wait()
        return web.Response()

    async with running_receiver(hang) as receiver:
        with pytest.raises(AnswerTimeoutError):
            await courier.post(receiver.url, b"{}", {}, 0.05)
        let_go.set()


async def test_a_name_that_leads_to_a_private_address_is_not_called() -> None:
    courier = Courier([])
    await courier.start()
    try:
        async with running_receiver() as receiver:
            named = receiver.url.replace("127.0.0.1", "localhost")
            with pytest.raises(ForbiddenAddressError) as refusal:
                await courier.post(named + "?key=hush", b"{}", {}, 5)
            assert not receiver.history
        assert "hush" not in str(refusal.value)
    finally:
        await courier.close()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("192.168.0.1", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("fd00::1", True),
        ("fd01::1", False),
        ("169.254.169.254", False),
        ("100.100.100.200", False),
        ("0.0.0.0", False),
    ],
)
def test_private_addresses_are_allowed_network_by_network(address: str, allowed: bool) -> None:
    rule = allow_networks([ip_network("10.1.0.0/16"), ip_network("fd00::/16")])
    assert rule(address) == allowed


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "224.0.0.1", "fe80::1"])
def test_some_addresses_are_in_no_network(address: str) -> None:
    rule = allow_networks([ip_network("0.0.0.0/0"), ip_network("::/0")])
    assert not rule(address)
