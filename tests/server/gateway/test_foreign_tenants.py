"""What a tenant has is nobody else's to see or to change, whichever RPC is asked by its ids."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from inferry.server.access.tokens import Role
from tests.backends import running_backend, say
from tests.gateways import Running, running_gateway, token
from tests.receivers import NETWORKS, running_receiver
from tests.server.gateway.hostile import METHODS, REFUSED, ask

#: Stands in all that is the other tenant's alone.
HUSH = "hushhush"
SECRET = "whsec_" + "c2VjcmV0" * 4
THEIRS = token(Role.CLIENT, tenant="globex", subject="them")
#: To remove what is not there is no error, and who may call what is no secret.
HARMLESS = ("DeleteWebhook", "CheckAccess")
#: Its answer has what was said.
MAKES = re.compile("Create|BatchCreate|Register|Check")


async def has(gateway: Running, task_id: str, hook_id: str) -> tuple[Any, ...]:
    """Reads all that the other tenant has."""
    paths = (
        f"/api/tasks/{task_id}",
        f"/api/tasks/{task_id}/deliveries",
        f"/api/tasks/{task_id}/attempts",
        f"/api/webhooks/{hook_id}",
        "/api/webhooks",
        "/api/tasks",
        "/api/tasks/count",
    )
    answers = [await gateway.call("GET", path, auth=THEIRS) for path in paths]
    assert {status for status, _ in answers} == {200}, answers
    return tuple(body for _, body in answers)


def requests(
    kind: type[Message], ids: tuple[str, ...], seq: int, *, makes: bool
) -> Iterator[Message]:
    """Gives requests that name what is another tenant's, in all the ways that they can."""
    fields = kind.DESCRIPTOR.fields_by_name
    for name, tenant, webhook in product(ids, ("", "globex"), ("", ids[1])):
        said: dict[str, Any] = {
            "id": name,
            "ids": [name],
            "webhook_id": webhook,
            "tenant": tenant,
            "seq": seq,
            "url": "https://example.com/",
            "since": Timestamp(seconds=1),
            "reason": "mine",
        }
        if not makes:
            said |= {"type": "echo", "labels": {"team": "vision"}}
        for silent in ((), ("labels",), ("type", "labels")):
            known = set(fields) - set(silent)
            yield kind(**{key: one for key, one in said.items() if key in known})


async def test_nothing_of_another_tenant_is_seen_or_changed_by_its_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = say({"status": "error", "error": f"no {HUSH}", "code": f"{HUSH}_CODE"})
    async with (
        running_gateway(tmp_path, webhook_networks=NETWORKS, queue_limit=1_000) as gateway,
        running_backend(fails) as backend,
        running_receiver() as receiver,
        grpc.aio.insecure_channel(gateway.gateway.grpc_address) as wire,
    ):
        await gateway.register(backend)
        hidden = receiver.url.replace("http://", f"http://user:{HUSH}@")
        _, hook = await gateway.call(
            "POST", "/api/webhooks", {"url": hidden, "description": HUSH, "secret": SECRET}, THEIRS
        )
        said = {
            "type": "echo",
            "payload": {"prompt": HUSH},
            "labels": {"team": "vision"},
            "webhook": {"url": hidden, "secret": SECRET},
            "async": False,
        }
        _, task = await gateway.call("POST", "/api/tasks", said, THEIRS)
        assert task["status"] == "FAILED"
        _, code = await gateway.call("POST", "/api/codes", {}, THEIRS)
        ids = task["id"], hook["id"]
        await gateway.eventually(
            f"/api/tasks/{task['id']}/deliveries",
            lambda body: {one["state"] for one in body["deliveries"]} == {"DELIVERED"},
        )
        before = await has(gateway, *ids)
        seq = before[1]["deliveries"][0]["seq"]
        for method in METHODS:
            kind = GetMessageClass(method.input_type)
            for request in requests(kind, ids, seq, makes=bool(MAKES.match(method.name))):
                for door in (gateway.gateway.channel, wire):
                    got = await ask(door, method, request, role=Role.CLIENT)
                    assert got.code in REFUSED, (method.name, request, got)
                    named = "id" in kind.DESCRIPTOR.fields_by_name and method.name not in HARMLESS
                    assert not named or got.code is not StatusCode.OK, (method.name, request, got)
                    told = got.words + got.heard
                    assert not {HUSH, "globex"} & {one for one in (HUSH, "globex") if one in told}
        assert await has(gateway, *ids) == before
        assert len(receiver.history) == 2
        assert (await gateway.call("POST", "/api/codes/exchange", {"code": code["code"]}))[0] == 200
    logged = capsys.readouterr()
    for secret in (SECRET, f"user:{HUSH}", "prompt", code["code"], THEIRS):
        assert secret not in logged.out + logged.err


async def test_another_tenants_tasks_are_neither_counted_nor_grouped(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.call("POST", "/api/tasks", {"type": "theirs"}, THEIRS)
        mine = token(Role.CLIENT, tenant="acme")
        for query in ("", "?type=theirs", "?status=PENDING"):
            counted = await gateway.call("GET", f"/api/tasks/count{query}", auth=mine)
            assert counted == (200, {"count": 0, "more": False})
        for path in ("/api/stats", "/api/failures", "/api/queue", "/metrics"):
            assert (await gateway.call("GET", path, auth=mine))[0] == 403, path
        assert (await gateway.call("GET", "/api/tasks/count"))[1]["count"] == 1
