"""Webhooks of a whole gateway: what happens to tasks gets to receivers, signed and in order."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inferry.client.webhooks import NotVerified, verify
from inferry.server.access.tokens import Role
from tests.backends import ACCEPTED, Backend, running_backend, say
from tests.gateways import Running, ShiftedClock, running_gateway, token
from tests.receivers import NETWORKS, Message, Receiver, answer, running_receiver

SECRET = "whsec_" + "c2VjcmV0" * 4
DAY_MS = 86_400_000


@pytest.fixture
async def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def running(tmp_path: Path, clock: ShiftedClock) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, clock, webhook_networks=NETWORKS) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def backend(running: Running) -> AsyncIterator[Backend]:
    async with running_backend() as backend:
        await running.register(backend)
        yield backend


async def created(running: Running, receiver: Receiver, **more: object) -> dict[str, Any]:
    """Creates a webhook."""
    said = {"url": receiver.url, **more}
    status, hook = await running.call("POST", "/api/webhooks", said)
    assert status == 200, hook
    return dict(hook)


async def delivered(running: Running, task_id: str, state: str = "DELIVERED") -> Any:
    """Waits until all of a task's deliveries have a state."""

    def done(body: dict[str, Any]) -> bool:
        found = body.get("deliveries", [])
        return bool(found) and {one["state"] for one in found} == {state}

    return (await running.eventually(f"/api/tasks/{task_id}/deliveries", done))["deliveries"]


async def test_the_end_of_a_task_is_told_to_the_webhook_it_was_created_with(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    hook = {"url": receiver.url, "secret": SECRET}
    task = await running.create(webhook=hook, labels={"team": "vision"})
    message = await receiver.next()
    said = verify(message.body, message.headers, SECRET)
    assert message.headers["content-type"] == "application/json"
    assert said["type"] == "task.completed"
    assert said["timestamp"].endswith("Z")
    data = said["data"]
    assert data["id"] == task["id"]
    assert data["result"] == {"done": True}
    assert data["labels"] == {"team": "vision"}
    assert data["status"] == "COMPLETED"
    assert message.id == f"{task['id']}_{data['seq']}"
    (one,) = await delivered(running, task["id"])
    assert one["messageId"] == message.id
    assert (one["webhookId"], one["event"], one["tries"]) == (task["id"], "completed", 1)
    (attempt,) = one["attempts"]
    assert attempt["statusCode"] == 204


async def test_a_task_of_a_batch_has_a_webhook_of_its_own(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    hook = {"url": receiver.url, "secret": SECRET}
    requests = [{"type": "echo", "webhook": hook}, {"type": "echo"}, {"type": "echo"}]
    _, answered = await running.call("POST", "/api/tasks:batchCreate", {"requests": requests})
    message = await receiver.next()
    assert message.said["data"]["id"] == answered["results"][0]["task"]["id"]
    assert len(receiver.history) == 1


async def test_events_are_told_in_their_order(running: Running, receiver: Receiver) -> None:
    everything = {"url": receiver.url, "secret": SECRET}
    async with running_backend(ACCEPTED) as backend:
        await running.register(backend)
        wanted = ["started", "progress", "completed"]
        task = await running.create(webhook={**everything, "events": wanted})
        job = await backend.next_job()
        started = await receiver.next()
        await backend.report(job, status="PROCESSING", progress=50, message="half")
        progress = await receiver.next()
        await backend.report(job, status="FAILED", error="no GPU", code="OUT_OF_MEMORY")
        end = await receiver.next()
    kinds = [message.said["type"] for message in (started, progress, end)]
    assert kinds == ["task.started", "task.progress", "task.failed"]
    assert progress.said["data"]["progress"] == 50
    assert progress.said["data"]["message"] == "half"
    assert (end.said["data"]["error"], end.said["data"]["code"]) == ("no GPU", "OUT_OF_MEMORY")
    assert [one["event"] for one in await delivered(running, task["id"])] == wanted


async def test_a_registered_webhook_hears_of_its_tenants_tasks_that_fit(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    hook = await created(running, receiver, types=["echo"], labels={"team": "vision"})
    assert hook["secret"].startswith("whsec_")
    other = token(Role.CLIENT, tenant="other")
    fits = {"type": "echo", "labels": {"team": "vision", "x": "y"}}
    status, _ = await running.call("POST", "/api/tasks", fits, other)
    assert status == 202
    await running.create(labels={"team": "audio"})
    await running.create()
    task = await running.create(labels={"team": "vision"})
    message = await receiver.next()
    assert verify(message.body, message.headers, hook["secret"])["data"]["id"] == task["id"]
    assert len(receiver.history) == 1


async def test_the_secret_is_told_once_and_again_when_it_is_changed(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    hook = await created(running, receiver)
    path = f"/api/webhooks/{hook['id']}"
    _, read = await running.call("GET", path)
    _, listed = await running.call("GET", "/api/webhooks")
    assert "secret" not in read
    assert listed == {"webhooks": [read]}
    _, rotated = await running.call("POST", f"{path}/rotate", {})
    assert rotated["secret"] != hook["secret"]
    assert "oldSecretUntil" in rotated
    await running.create()
    message = await receiver.next()
    assert len(message.headers["webhook-signature"].split(" ")) == 2
    for secret in (hook["secret"], rotated["secret"], [SECRET, hook["secret"]]):
        assert verify(message.body, message.headers, secret)
    _, last = await running.call("POST", f"{path}/rotate", {"overlap": 0})
    assert "oldSecretUntil" not in last
    await running.create()
    message = await receiver.next()
    assert verify(message.body, message.headers, last["secret"])
    with pytest.raises(NotVerified, match="no signature"):
        verify(message.body, message.headers, [hook["secret"], rotated["secret"]])


async def test_what_a_receiver_does_not_take_is_sent_again_under_the_same_name(
    running: Running, receiver: Receiver, backend: Backend, clock: ShiftedClock
) -> None:
    receiver.answer = answer(500, "no")
    task = await running.create(webhook={"url": receiver.url, "secret": SECRET})
    first = await receiver.next()
    path = f"/api/tasks/{task['id']}/deliveries"
    await running.eventually(path, lambda body: body["deliveries"][0].get("tries") == 1)
    clock.shift_ms += 6_000
    second = await receiver.next()
    await running.eventually(path, lambda body: body["deliveries"][0]["tries"] == 2)
    receiver.answer = answer(200)
    clock.shift_ms += 400_000
    third = await receiver.next()
    assert {first.id, second.id, third.id} == {first.id}
    assert first.body == second.body == third.body
    (one,) = await delivered(running, task["id"])
    assert [attempt["statusCode"] for attempt in one["attempts"]] == [500, 500, 200]
    assert one["attempts"][0]["answer"] == "no"


async def test_a_receiver_is_not_asked_before_it_wants_to_be(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    receiver.answer = answer(503, **{"Retry-After": "3600"})
    task = await running.create(webhook={"url": receiver.url, "secret": SECRET})
    await receiver.next()
    path = f"/api/tasks/{task['id']}/deliveries"
    body = await running.eventually(path, lambda body: body["deliveries"][0].get("tries") == 1)
    (one,) = body["deliveries"]
    assert one["nextAttemptAt"] > one["attempts"][0]["at"]
    now_ms = running.gateway._clock.now_ms()
    (entry,) = await running.gateway._store.deliveries(task["id"], None, 10)
    assert entry.next_ms - now_ms > 3_500_000


async def test_a_redirect_is_not_followed(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    receiver.answer = answer(307, Location=receiver.url + "/elsewhere")
    task = await running.create(webhook={"url": receiver.url, "secret": SECRET})
    await receiver.next()
    path = f"/api/tasks/{task['id']}/deliveries"
    await running.eventually(path, lambda body: body["deliveries"][0].get("tries") == 1)
    assert [message.path for message in receiver.history] == ["/hook"]


async def test_a_receiver_that_is_gone_hears_of_nothing_any_more(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    receiver.answer = answer(410)
    hook = await created(running, receiver)
    await running.create()
    await receiver.next()
    path = f"/api/webhooks/{hook['id']}"
    read = await running.eventually(path, lambda body: bool(body.get("disabled")))
    assert read["disabledReason"] == "its receiver answered 410 Gone"
    again = await running.create()
    await running.task(again["id"], 10)
    assert (await running.call("GET", f"/api/tasks/{again['id']}/deliveries"))[1] == {
        "deliveries": []
    }
    receiver.answer = answer(200)
    status, _ = await running.call("PUT", path, {"url": receiver.url})
    assert status == 200
    last = await running.create()
    assert (await receiver.next()).said["data"]["id"] == last["id"]


async def test_a_receiver_that_hangs_holds_up_no_other(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    let_go = asyncio.Event()

    async def hang(_message: Message) -> web.StreamResponse:
        await let_go.wait()
        return web.Response()

    async with running_receiver(hang) as dead:
        await created(running, dead)
        for _ in range(20):
            await running.create()
        await asyncio.gather(*(dead.next() for _ in range(8)))
        await running.create(webhook={"url": receiver.url, "secret": SECRET})
        await receiver.next()
        assert len(dead.history) == 8
        let_go.set()
        for _ in range(13):
            await dead.next()


async def test_a_large_result_is_left_out_and_its_place_is_told(
    running: Running, receiver: Receiver
) -> None:
    async with running_backend(say({"status": "success", "result": "x" * 20_480})) as backend:
        await running.register(backend)
        task = await running.create(webhook={"url": receiver.url, "secret": SECRET})
        data = (await receiver.next()).said["data"]
    assert "result" not in data
    assert data["resultUrl"] == f"{running.url}/api/tasks/{task['id']}"


async def test_numbers_of_a_result_reach_the_receiver_as_they_were(
    running: Running, receiver: Receiver
) -> None:
    text = b'{"status":"success","result":{"b":1.10,"a":12345678901234567890}}'
    async with running_backend(say(text)) as backend:
        await running.register(backend)
        await running.create(webhook={"url": receiver.url, "secret": SECRET})
        message = await receiver.next()
    assert b'"result":{"b":1.10,"a":12345678901234567890}' in message.body


async def test_a_private_address_needs_a_setting(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as running,
        running_receiver() as receiver,
        running_backend() as backend,
    ):
        await running.register(backend)
        status, body = await running.call("POST", "/api/webhooks", {"url": receiver.url})
        assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
        assert "INFERRY_WEBHOOK_NETWORKS" in body["error"]
        # A name may lead there all the same: then nothing is sent.
        named = receiver.url.replace("127.0.0.1", "localhost")
        task = await running.create(webhook={"url": named, "secret": SECRET})
        path = f"/api/tasks/{task['id']}/deliveries"
        body = await running.eventually(
            path, lambda body: bool(body["deliveries"]) and body["deliveries"][0].get("tries") == 1
        )
        (attempt,) = body["deliveries"][0]["attempts"]
        assert "not allowed" in attempt["answer"]
        assert not receiver.history


async def test_a_ping_tells_what_the_receiver_answers(running: Running, receiver: Receiver) -> None:
    receiver.answer = answer(202, "pong")
    hook = await created(running, receiver)
    status, attempt = await running.call("POST", f"/api/webhooks/{hook['id']}/ping")
    assert status == 200
    assert (attempt["statusCode"], attempt["answer"]) == (202, "pong")
    message = await receiver.next()
    said = verify(message.body, message.headers, hook["secret"])
    assert said["type"] == "webhook.ping"
    assert said["data"] == {"webhookId": hook["id"]}


async def test_what_was_told_is_told_again_when_asked(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    hook = await created(running, receiver)
    task = await running.create()
    first = await receiver.next()
    await delivered(running, task["id"])
    seq = first.said["data"]["seq"]
    path = f"/api/tasks/{task['id']}/deliveries/{seq}/redeliver"
    assert await running.call("POST", path, {}) == (200, {"redelivered": 1})
    second = await receiver.next()
    assert (second.id, second.body) == (first.id, first.body)
    await delivered(running, task["id"])
    assert (await running.call("POST", path, {"webhookId": "whk_other"}))[0] == 404
    wrong = path.replace(f"/{seq}/", "/first/")
    status, body = await running.call("POST", wrong, {})
    assert (status, body["error"][:4]) == (400, "seq:")
    other = token(Role.CLIENT, tenant="other")
    assert (await running.call("POST", path, {}, other))[0] == 404
    since = {"since": "2020-01-01T00:00:00Z", "delivered": True}
    replay = f"/api/webhooks/{hook['id']}/replay"
    assert await running.call("POST", replay, since) == (200, {"replayed": 1, "more": False})
    assert (await receiver.next()).id == first.id


async def test_an_ed25519_signature_is_verified_with_the_tenants_public_key(
    running: Running, receiver: Receiver, backend: Backend
) -> None:
    hook = await created(running, receiver, ed25519=True)
    _, key = await running.call("GET", "/api/webhook-key")
    assert hook["publicKey"] == key["publicKey"]
    await running.create()
    await running.create(webhook={"url": receiver.url})
    public = Ed25519PublicKey.from_public_bytes(
        base64.b64decode(key["publicKey"].removeprefix("whpk_"))
    )
    for _ in range(3):
        message = await receiver.next()
        *_, last = message.headers["webhook-signature"].split(" ")
        version, signature = last.split(",")
        assert version == "v1a"
        at = message.headers["webhook-timestamp"]
        content = f"{message.id}.{at}.".encode() + message.body
        public.verify(base64.b64decode(signature), content)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "url: missing"),
        ({"url": "ftp://example.com"}, "right is http"),
        ({"url": "http://"}, "right is http"),
        ({"url": "https://user:secret@exa mple.com"}, "right is http"),
        ({"url": "https://example.com/#part"}, "fragment"),
        ({"url": "https://169.254.169.254/"}, "not allowed"),
        ({"url": "https://example.com", "events": ["ended"]}, "right is started"),
        ({"url": "https://example.com", "types": ["no name"]}, "types"),
        ({"url": "https://example.com", "secret": "whsec_c2hvcnQ="}, "24 to 64 bytes"),
        ({"url": "https://example.com", "secret": "hush" * 20}, "24 to 64 bytes"),
        ({"url": "https://example.com", "description": "x" * 256}, "limit is 255"),
        (
            {"url": "https://example.com", "labels": {str(n): "" for n in range(9)}},
            "right is 0 to 8",
        ),
        ({"url": "https://example.com/" + "x" * 2_048}, "limit is 2048"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_and_nothing_of_it_is_quoted(
    running: Running, said: dict[str, object], words: str
) -> None:
    status, body = await running.call("POST", "/api/webhooks", said)
    assert status == 400
    assert words in body["error"]
    assert "secret@" not in body["error"]
    assert "hush" not in body["error"]


async def test_a_tenants_webhooks_are_its_own(running: Running, receiver: Receiver) -> None:
    mine, other = (token(Role.CLIENT, tenant=tenant) for tenant in ("mine", "other"))
    _, hook = await running.call("POST", "/api/webhooks", {"url": receiver.url}, mine)
    path = f"/api/webhooks/{hook['id']}"
    assert (await running.call("GET", path, auth=mine))[0] == 200
    for verb, called, body in (
        ("GET", path, None),
        ("PUT", path, {"url": receiver.url}),
        ("POST", f"{path}/rotate", {}),
        ("POST", f"{path}/ping", None),
        ("POST", f"{path}/replay", {"since": "2020-01-01T00:00:00Z"}),
    ):
        assert (await running.call(verb, called, body, other))[0] == 404, called
    assert await running.call("GET", "/api/webhooks", auth=other) == (200, {"webhooks": []})
    await running.call("DELETE", path, auth=other)
    assert (await running.call("GET", path))[0] == 200
    assert await running.call("DELETE", path, auth=mine) == (200, {})
    assert (await running.call("GET", path))[0] == 404


async def test_a_tenant_has_so_many_webhooks(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, webhook_limit=1) as running:
        said = {"url": "https://example.com/"}
        assert (await running.call("POST", "/api/webhooks", said))[0] == 200
        status, body = await running.call("POST", "/api/webhooks", said)
        assert (status, body["code"]) == (429, "RESOURCE_LIMIT")


async def test_nothing_of_a_webhook_gets_into_the_log(
    running: Running, receiver: Receiver, backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answer = answer(410)
    url = receiver.url.replace("http://", "http://user:hushhush@") + "?key=hushhush"
    status, hook = await running.call("POST", "/api/webhooks", {"url": url, "secret": SECRET})
    assert status == 200, hook
    task = await running.create()
    await delivered(running, task["id"], "FAILED")
    logged = capsys.readouterr()
    assert "a webhook is disabled" in logged.out + logged.err
    assert "hushhush" not in logged.out + logged.err
    assert SECRET not in logged.out + logged.err


async def test_what_waits_when_a_gateway_stops_is_sent_by_the_next(tmp_path: Path) -> None:
    async with running_receiver(answer(503)) as receiver:
        async with (
            running_gateway(tmp_path, webhook_networks=NETWORKS) as running,
            running_backend() as backend,
        ):
            await running.register(backend)
            await running.create(webhook={"url": receiver.url, "secret": SECRET})
            first = await receiver.next()
        receiver.answer = answer(200)
        clock = ShiftedClock()
        clock.shift_ms = DAY_MS
        async with running_gateway(tmp_path, clock, webhook_networks=NETWORKS):
            assert (await receiver.next()).id == first.id


async def test_a_task_without_any_webhook_has_no_deliveries(
    running: Running, backend: Backend
) -> None:
    task = await running.create()
    await running.task(task["id"], 10)
    assert await running.call("GET", f"/api/tasks/{task['id']}/deliveries") == (
        200,
        {"deliveries": []},
    )
    assert (await running.call("GET", "/api/tasks/task_none/deliveries"))[0] == 404


async def test_under_one_key_another_webhook_is_another_request(running: Running) -> None:
    async def create(**more: object) -> tuple[int, Any]:
        said = {"type": "echo", "requestId": "order-7", **more}
        return await running.call("POST", "/api/tasks", said)

    hook = {"url": "https://example.com/a", "secret": SECRET}
    status, task = await create(webhook=hook)
    assert status == 202
    status, replayed = await create(webhook={**hook, "events": ["completed"]})
    assert (status, replayed["id"]) == (202, task["id"])
    for other in ({**hook, "url": "https://example.com/b"}, {"url": hook["url"]}):
        status, body = await create(webhook=other)
        assert (status, body["code"]) == (422, "REQUEST_ID_REUSED")
    assert (await create())[0] == 422


async def test_progress_that_comes_quickly_is_told_now_and_then(
    running: Running, receiver: Receiver
) -> None:
    async with running_backend(ACCEPTED) as backend:
        await running.register(backend)
        hook = {"url": receiver.url, "secret": SECRET, "events": ["progress", "completed"]}
        await running.create(webhook=hook)
        job = await backend.next_job()
        for step in range(1, 51):
            await backend.report(job, status="PROCESSING", progress=step)
        told = [await receiver.next()]
        await backend.report(job, status="COMPLETED", result=1)
        while told[-1].said["type"] == "task.progress":
            told.append(await receiver.next())
    *progress, end = [message.said for message in told]
    assert end["type"] == "task.completed"
    steps = [said["data"]["progress"] for said in progress]
    assert steps[0] > 2
    assert steps == sorted({*steps})
    assert len(steps) < 25
