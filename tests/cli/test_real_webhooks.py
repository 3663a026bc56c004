"""Webhooks from the command line: a real gateway, and ``inferry webhook listen`` as receiver."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cli.real import WITHIN_S, Inferry
from tests.processes import INFERRY, GatewayProcess, start_gateway, start_mock

SECRET = "whsec_" + "c2VjcmV0" * 4
OTHER = "whsec_" + "b3RoZXIh" * 4


@pytest.fixture
async def gateway_process(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    settings = {"INFERRY_WEBHOOK_NETWORKS": '["127.0.0.0/8"]'}
    gateway = await start_gateway(tmp_path, settings=settings)
    try:
        yield gateway
    finally:
        await gateway.stop()


class Listener:
    """``inferry webhook listen`` in a process of its own."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            return (await self._process.stdout.readline()).decode()


@asynccontextmanager
async def listening(*given: str) -> AsyncIterator[Listener]:
    process = await asyncio.create_subprocess_exec(
        INFERRY,
        *("webhook", "listen", "--port", "0", *given),
        stdout=PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    listener = Listener(process, "")
    try:
        listener.url = (await listener.line()).split()[-1]
        yield listener
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_a_task_is_told_to_a_listener_that_verifies_and_prints(
    inferry: Inferry, gateway_process: GatewayProcess
) -> None:
    async with listening("--secret", SECRET, "--json") as listener:
        hook = await inferry.json(
            *("webhooks", "create", f"{listener.url}/hook", "--secret", SECRET),
            *("--type", "test-processing", "--label", "team=vision", "--event", "completed"),
        )
        assert (hook["secret"], hook["types"]) == (SECRET, ["test-processing"])
        mock = await start_mock(gateway_process)
        try:
            ran = await inferry.run("submit", "test-processing", "{}", "--label", "team=vision")
            task_id = ran.out.strip()
            told = json.loads(await listener.line())
        finally:
            await mock.stop()
        assert told["verdict"] == "verified"
        assert told["path"] == "/hook"
        assert json.loads(told["body"])["data"]["id"] == task_id
        assert told["id"].startswith(task_id)
        (one,) = (await inferry.json("webhooks", "deliveries", task_id))["deliveries"]
        assert (one["messageId"], one["webhookId"]) == (told["id"], hook["id"])
        table = await inferry.run("webhooks", "deliveries", task_id)
        assert hook["id"] in table.out
        again = await inferry.json("webhooks", "redeliver", task_id, str(one["seq"]))
        assert again == {"redelivered": 1}
        assert json.loads(await listener.line())["id"] == told["id"]


async def test_a_listener_refuses_what_is_not_signed_with_its_secret(inferry: Inferry) -> None:
    async with listening("--secret", OTHER) as listener:
        made = await inferry.json("webhooks", "create", listener.url, "--secret", SECRET)
        assert (await inferry.json("webhooks", "ping", made["id"]))["statusCode"] == 401
        assert (await listener.line()).startswith("refused: no signature")
        rotated = await inferry.json("webhooks", "rotate", made["id"], "--secret", OTHER)
        assert rotated["secret"] == OTHER
        assert (await inferry.json("webhooks", "ping", made["id"]))["statusCode"] == 204
        assert (await listener.line()).startswith("verified")


async def test_a_listener_without_a_secret_says_that_it_verifies_nothing(inferry: Inferry) -> None:
    async with listening() as listener:
        made = await inferry.json("webhooks", "create", listener.url)
        await inferry.run("webhooks", "ping", made["id"])
        assert (await listener.line()).startswith("not verified: no --secret  ping_")


async def test_a_webhook_is_listed_changed_and_removed(inferry: Inferry) -> None:
    made = await inferry.json("webhooks", "create", "https://example.com/", "--ed25519")
    assert (await inferry.run("webhooks", "key")).out.strip() == made["publicKey"]
    (listed,) = (await inferry.json("webhooks", "list"))["webhooks"]
    assert "secret" not in listed
    assert made["id"] in (await inferry.run("webhooks", "list")).out
    changed = await inferry.json(
        *("webhooks", "update", made["id"], "https://example.org/", "--event", "progress"),
        "--disabled",
    )
    assert (changed["url"], changed["events"]) == ("https://example.org/", ["progress"])
    assert changed["disabledReason"] == "its owner disabled it"
    assert await inferry.json("webhooks", "get", made["id"]) == changed
    assert "disabledReason" in (await inferry.run("webhooks", "get", made["id"])).out
    replayed = await inferry.json("webhooks", "replay", made["id"], "--since", "1h")
    assert replayed == {"replayed": 0, "more": False}
    assert (await inferry.run("webhooks", "delete", made["id"])).status == 0
    assert (await inferry.run("webhooks", "get", made["id"])).status == 5


async def test_a_secret_that_is_none_is_refused_before_anything_listens(inferry: Inferry) -> None:
    ran = await inferry.run("webhook", "listen", "--port", "0", "--secret", "hush!")
    assert ran.status == 2
    assert "whsec_ and base64" in ran.err
