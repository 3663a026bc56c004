"""What a tenant has is nobody else's to hear of or to report on, whichever stream names it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from inferry.server.access.tokens import Role
from inferry.server.rpc.permissions import PERMISSIONS
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import WatchTasksRequest
from inferry.v1.worker_pb2 import Assignment, WorkerHello, WorkerMessage
from tests.gateways import Running, running_gateway, token
from tests.model_worker import ModelWorker
from tests.server.gateway.hostile import REFUSED, STREAMS, TASK, ask, doors_of
from tests.server.watches import bearer

#: Stands in all that is the other tenant's alone.
HUSH = "hushhush"
THEIRS = token(Role.CLIENT, tenant="globex", subject="them")
#: Fields that name tasks.
NAMES = ("id", "ids", "task_id", "add_ids", "remove_ids")
HELLO = WorkerHello(name="gpu-1", protocol_version=1, capabilities=["echo"])


class Other:
    """Another tenant's task, which a worker has until it may end it."""

    def __init__(self, gateway: Running) -> None:
        self.gateway = gateway
        self.may_end = asyncio.Event()
        auth = token(Role.BACKEND, tenant="globex")
        self.worker = ModelWorker(gateway.gateway.grpc_address, auth=auth, work=self._work)
        self.task = ""

    async def begin(self) -> None:
        said = {
            "type": "echo",
            "payload": {"prompt": HUSH},
            "labels": {"team": HUSH},
        }
        status, made = await self.gateway.call("POST", "/api/tasks", said, THEIRS)
        assert status == 202, made
        self.task = made["id"]
        await self.gateway.eventually(
            f"/api/tasks/{self.task}", lambda now: now["status"] == "PROCESSING"
        )

    async def has(self) -> tuple[Any, ...]:
        """Reads all that it has."""
        paths = "", "/attempts", "/explain"
        answers = [
            await self.gateway.call("GET", f"/api/tasks/{self.task}{path}", auth=THEIRS)
            for path in paths
        ]
        assert {status for status, _ in answers} == {200}, answers
        return tuple(body for _, body in answers[:2])

    async def end(self) -> None:
        self.may_end.set()
        task = await self.gateway.task(self.task, wait_s=10)
        assert (task["status"], task["result"]) == ("COMPLETED", {"said": HUSH})

    async def _work(self, worker: ModelWorker, assignment: Assignment) -> None:
        await self.may_end.wait()
        worker.complete(assignment, b'{"said": "%b"}' % HUSH.encode())


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Other]:
    async with running_gateway(tmp_path) as gateway:
        other = Other(gateway)
        async with other.worker.connected():
            await other.begin()
            yield other


def naming(kind: Any, task: str, ticket: str) -> Message:
    """Makes a request that names a task in all the ways that it can, and says that it is done."""
    message: Message = kind()
    for field in kind.DESCRIPTOR.fields:
        value: Any = None
        if field.name in NAMES:
            value = task
        elif field.name == "ticket":
            value = ticket
        elif field.full_name == "inferry.v1.TaskUpdate.status":
            value = Task.COMPLETED
        elif field.name in ("attempt", "number") and field.message_type is None:
            value = 1
        elif field.message_type is not None and field.name != "hello":
            kind_of = field.message_type
            if kind_of.file.package == "inferry.v1" and not kind_of.GetOptions().map_entry:
                value = naming(GetMessageClass(kind_of), task, ticket)
        if value is not None:
            part = {field.name: [value] if field.is_repeated else value}
            message.MergeFrom(kind(**part))
    return message


def said(method: MethodDescriptor, task: str, ticket: str) -> list[list[Message]]:
    """Lists what a stranger says on a stream: each a stream of its own."""
    named = naming(GetMessageClass(method.input_type), task, ticket)
    if isinstance(named, WorkerMessage):
        holds = WorkerHello(resume_token="x", held=named.acknowledged)
        holds.MergeFrom(HELLO)
        return [[WorkerMessage(hello=HELLO), named], [WorkerMessage(hello=holds), named]]
    return [[named], [named, named]] if method.client_streaming else [[named]]


@pytest.mark.parametrize("ticket", ["", "mine"])
@pytest.mark.parametrize("method", STREAMS, ids=lambda method: method.name)
async def test_nothing_of_another_tenant_is_heard_or_changed_by_its_id(
    other: Other, method: MethodDescriptor, ticket: str
) -> None:
    gateway, auth = other.gateway, token(Role.CLIENT)
    if ticket:
        _, mine = await gateway.call("POST", "/api/tasks", {"type": "none"}, auth)
        _, made = await gateway.call("POST", f"/api/tasks/{mine['id']}/stream-url", {}, auth)
        ticket = parse_qs(urlsplit(made["url"]).query)["ticket"][0]
    before = await other.has()
    rights = PERMISSIONS[f"/{method.containing_service.full_name}/{method.name}"]
    role = Role.CLIENT if Role.CLIENT in rights else Role.BACKEND
    async with doors_of(gateway) as doors:
        for requests in said(method, other.task, ticket):
            assert other.task in str(requests[-1]), f"{method.name}: where does it name a task?"
            for door in (doors.near, doors.far(method)):
                got = await ask(door, method, *requests, role=role)
                assert got.code in REFUSED, (method.name, got)
                for word in (HUSH, "globex", "PROCESSING"):
                    assert word not in got.words + got.heard, (method.name, got)
    assert await other.has() == before
    await other.end()


async def test_who_watches_all_hears_of_the_own_tasks_alone(other: Other) -> None:
    gateway = other.gateway
    watch = gateway.tasks.WatchTasks(WatchTasksRequest(), metadata=bearer(token(Role.CLIENT)))
    heard = [str(await anext(aiter(watch)))]
    await other.end()
    _, mine = await gateway.call("POST", "/api/tasks", {"type": "none"}, token(Role.CLIENT))
    async with asyncio.timeout(20):
        async for told in watch:
            heard.append(str(told))
            if mine["id"] in heard[-1]:
                break
    watch.cancel()
    for word in (HUSH, "globex", other.task):
        assert word not in "".join(heard)


async def test_a_worker_learns_as_little_of_what_it_has_not_as_of_what_is_not_there(
    other: Other,
) -> None:
    before = await other.has()
    stranger = ModelWorker(other.gateway.gateway.grpc_address)
    async with stranger.connected():
        for task in (other.task, TASK):
            for attempt in (1, 2, 99, 0, -1):
                named = Assignment(task_id=task, attempt=attempt)
                stranger.complete(named, b'"mine"')
                stranger.report(named, status=Task.PROCESSING, progress=0.9)
                stranger.report(named, status=99)
        await stranger.until(lambda: len(stranger.acks) == 30)
    told = [
        (one.code, one.status, one.stop, one.error.replace(other.task, TASK))
        for one in stranger.acks
    ]
    assert told[:15] == told[15:]
    assert {code for code, *_ in told} == {"STALE_ATTEMPT", "INVALID_PAYLOAD"}
    assert await other.has() == before
    await other.end()
