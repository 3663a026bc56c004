"""JSON values go from the creator to the backend and back again as the texts that were given."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import orjson
import pytest
from aiohttp import web

from inferry.v1.task_pb2 import JSON_TEXT, STRUCT, Task
from inferry.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest, WatchTaskRequest
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.wire.limits import MESSAGE_BYTES
from inferry.wire.plain import plain_value
from tests.backends import Backend, running_backend, say
from tests.gateways import Running, running_gateway, token

DEEP = b'{"a":' * 60 + b"[" * 66 + b"]" * 66 + b"}" * 60
#: 128 levels; no parser that rounds, sorts or escapes gives it back.
TEXT = (
    b'{"z":{"b":1,"a":9223372036854775808},\n "m":[1e400, -0.0, 1.10, 12345678901234567890123],'
    b'\r\n"e":"\xf0\x9f\x98\x80 \\u00e9 \\ud83d","deep":%b, "a" : {} }'
) % DEEP
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def backend(gateway: Running) -> AsyncIterator[Backend]:
    async with running_backend() as running:
        await gateway.register(running)
        yield running


async def text_of(gateway: Running, verb: str, path: str, body: bytes | None = None) -> bytes:
    """Calls REST and returns the text of the answer."""
    headers = {**HEADERS, "Authorization": f"Bearer {token()}"}
    async with gateway.http.request(
        verb, f"{gateway.url}{path}", data=io.BytesIO(body or b""), headers=headers
    ) as response:
        assert response.status in (200, 202), await response.text()
        return await response.read()


async def test_a_synchronous_task_passes_through_byte_for_byte(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say(b'{"status":"success", "result" : %b}' % TEXT)
    body = b'{"async":false,"payload": %b, "type":"echo"}' % TEXT
    answer = await text_of(gateway, "POST", "/api/tasks", body)
    assert b'"result":%b' % TEXT in answer
    assert b'"payload":%b' % TEXT in backend.bodies[-1]
    task_id = backend.history[-1]["id"]
    read = await text_of(gateway, "GET", f"/api/tasks/{task_id}")
    assert b'"payload":%b' % TEXT in read
    assert b'"result":%b' % TEXT in read


async def test_an_asynchronous_task_passes_through_byte_for_byte(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say({"status": "accepted"})
    await text_of(gateway, "POST", "/api/tasks", b'{"type":"echo","payload":%b}' % TEXT)
    job = await backend.next_job()
    assert b'"payload":%b' % TEXT in backend.bodies[-1]
    path = f"/api/tasks/{job['id']}"
    said = b'{"status":"FAILED","error":"no","details":%b}' % TEXT
    await text_of(gateway, "PUT", job["callback_url"].removeprefix(gateway.url), said)
    assert b'"details":%b' % TEXT in await text_of(gateway, "GET", path)
    await text_of(gateway, "POST", f"{path}/retry")
    job = await backend.next_job()
    said = b'{"status":"COMPLETED","result":%b}' % TEXT
    await text_of(gateway, "PUT", job["callback_url"].removeprefix(gateway.url), said)
    assert b'"result":%b' % TEXT in await text_of(gateway, "GET", path)


async def test_a_watcher_over_sse_gets_the_text_whatever_line_ends_it_has(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say(b'{"status":"success","result":%b}' % TEXT)
    task_id = (await gateway.create())["id"]
    stream = await text_of(gateway, "GET", f"/api/tasks/{task_id}/events")
    last = stream.rstrip(b"\n").rpartition(b"\n\n")[2].split(b"\n")
    data = b"\n".join(line.removeprefix(b"data: ") for line in last if line.startswith(b"data: "))
    assert b'"result":%b' % TEXT.replace(b"\r\n", b"\n") in data


async def test_a_grpc_client_chooses_texts_or_messages(gateway: Running, backend: Backend) -> None:
    metadata = (("authorization", f"Bearer {token()}"),)
    backend.answer = say(b'{"status":"success","result":%b}' % TEXT)
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        stub = TaskServiceStub(channel)
        request = CreateTaskRequest(type="echo", payload_json=TEXT, value_format=JSON_TEXT)
        request.asynchronous = False
        task = (await stub.CreateTask(request, metadata=metadata)).task
        assert (task.status, task.result_json) == (Task.COMPLETED, TEXT)
        assert not task.HasField("result")
        read = GetTaskRequest(id=task.id, value_format=JSON_TEXT)
        task = (await stub.GetTask(read, metadata=metadata)).task
        assert (task.payload_json, task.result_json) == (TEXT, TEXT)
        read.without_payload = True
        task = (await stub.GetTask(read, metadata=metadata)).task
        assert (task.payload_json, task.result_json) == (b"", TEXT)
        watch = WatchTaskRequest(id=task.id, value_format=JSON_TEXT)
        events = [one.event async for one in stub.WatchTask(watch, metadata=metadata)]
        assert events[-1].task.result_json == TEXT
        for read in (GetTaskRequest(id=task.id), GetTaskRequest(id=task.id, value_format=STRUCT)):
            with pytest.raises(grpc.aio.AioRpcError, match="value_format: JSON_TEXT") as refused:
                await stub.GetTask(read, metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_reader_may_leave_out_what_is_large_and_is_told_its_size(
    gateway: Running, backend: Backend
) -> None:
    result = b'"%b"' % (b"r" * 98)
    backend.answer = say(b'{"status":"success","result":%b}' % result)
    task = await gateway.create(payload={"p": "x" * 92}, **{"async": False})
    path = f"/api/tasks/{task['id']}"
    _, read = await gateway.call("GET", f"{path}?valueLimit=100")
    assert (read["result"], "payload" in read) == ("r" * 98, False)
    assert read["leftOut"] == {"payload": 101, "result": 0, "details": 0, "lateResult": 0}
    _, read = await gateway.call("GET", f"{path}?valueLimit=99")
    assert (read["leftOut"]["payload"], read["leftOut"]["result"]) == (101, 100)
    for whole in (path, f"{path}?valueLimit=0", f"{path}?valueLimit=101"):
        _, read = await gateway.call("GET", whole)
        assert (read["payload"], "leftOut" in read) == ({"p": "x" * 92}, False)
    status, refused = await gateway.call("GET", f"{path}?valueLimit=-1")
    assert (status, refused["code"]) == (400, "INVALID_PAYLOAD")


async def test_what_fits_a_message_is_one_for_who_asks_for_nothing(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say(b'{"status":"success","result":{"b":[1.5],"a":true}}')
    metadata = (("authorization", f"Bearer {token()}"),)
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        request = CreateTaskRequest(type="echo", asynchronous=False)
        request.payload.update({"n": 1})
        task = (await TaskServiceStub(channel).CreateTask(request, metadata=metadata)).task
    assert plain_value(task.result) == {"b": [1.5], "a": True}
    assert task.result_json == b""
    assert orjson.loads(backend.bodies[-1])["payload"] == {"n": 1}


FACE = "\N{GRINNING FACE}"
#: As large as a task can have them.
CAPABILITIES = [f"{n:02}{'c' * 126}" for n in range(32)]
LABELS = {f"{FACE * 61}{n:02}": FACE * 255 for n in range(32)}


@pytest.mark.parametrize(
    ("end", "value", "rest"),
    [
        (b'{"status":"COMPLETED","result":"%b"}', "result_json", 2),
        (
            b'{"status":"FAILED","error":"%b","code":"%b","details":{"d":"%%b"}}'
            % (FACE.encode() * 4_096, FACE.encode() * 128),
            "details_json",
            8,
        ),
    ],
    ids=["COMPLETED", "FAILED"],
)
async def test_a_task_at_all_limits_is_read_by_a_stub_with_default_options(
    gateway: Running, backend: Backend, end: bytes, value: str, rest: int
) -> None:
    config = gateway.config
    await gateway.register(backend, name="another", capabilities=["echo", *CAPABILITIES])
    payload = b'{"a":"%b"}' % (b"p" * (config.request_limit_bytes - 8))
    size = config.result_limit_bytes - rest
    backend.answer = say({"status": "accepted", "message": FACE * 4_096})
    metadata = (("authorization", f"Bearer {token(tenant='t' * 255)}"),)
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        stub = TaskServiceStub(channel)
        request = CreateTaskRequest(
            type="echo", payload_json=payload, labels=LABELS, capabilities=CAPABILITIES
        )
        task = (await stub.CreateTask(request, metadata=metadata)).task
        job = await backend.next_job()
        path = job["callback_url"].removeprefix(gateway.url)
        await text_of(gateway, "PUT", path, end % (b"v" * size))
        read = GetTaskRequest(id=task.id, value_format=JSON_TEXT)
        response = await stub.GetTask(read, metadata=metadata)
        assert response.ByteSize() <= MESSAGE_BYTES
        assert response.task.payload_json == payload
        assert len(getattr(response.task, value)) == config.result_limit_bytes
        read.without_payload, read.value_format = True, STRUCT
        task = (await stub.GetTask(read, metadata=metadata)).task
        assert len(task.result.string_value or str(task.details["d"])) == size


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"a":NaN}', "payload: no JSON, at position 5"),
        (b'{"a":1,"b":{"c":1,"c":2}}', 'payload: an object names the member "c" twice'),
        (b'{"a":%b}' % (b"[" * 128 + b"]" * 128), "payload: nested deeper than 128 levels"),
        (b'{"a":%b}' % (b"[" * 9_000), "no JSON, at position"),
        (b"[1]", "payload: expected a JSON object, got an array"),
        (b'"\xff"', "payload: no JSON, at position 1: this is not UTF-8"),
    ],
)
async def test_a_payload_that_cannot_pass_is_refused(
    gateway: Running, payload: bytes, reason: str
) -> None:
    async with gateway.http.post(
        f"{gateway.url}/api/tasks",
        data=b'{"type":"echo","payload":%b}' % payload,
        headers={**HEADERS, "Authorization": f"Bearer {token()}"},
    ) as response:
        body = await response.json()
        assert (response.status, body["code"]) == (400, "INVALID_PAYLOAD")
        assert reason in body["error"]


async def test_a_list_is_cut_where_it_would_be_too_large_for_a_client(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say({"status": "error", "error": "\N{GRINNING FACE}" * 5_000})
    labels = {f"{n:063}": "\N{GRINNING FACE}" * 255 for n in range(32)}
    async with asyncio.TaskGroup() as group:
        for _ in range(85):
            group.create_task(gateway.create(labels=labels, **{"async": False}))
    seen, page_token = 0, ""
    status, page = await gateway.call("GET", "/api/tasks?pageSize=500")
    assert status == 200
    assert 0 < len(page["tasks"]) < 85
    while True:
        status, page = await gateway.call("GET", f"/api/tasks?pageSize=500&pageToken={page_token}")
        seen += len(page["tasks"])
        page_token = page.get("nextPageToken", "")
        if not page_token:
            break
    assert seen == 85


async def test_a_backend_that_echoes_its_request_shows_no_token(
    gateway: Running, backend: Backend
) -> None:
    async def echo(job: dict[str, object]) -> web.StreamResponse:
        return web.json_response({"status": "error", "error": job, "details": {"request": job}})

    backend.answer = echo
    task = await gateway.create()
    token_text = (await backend.next_job())["callback_url"].partition("token=")[2]
    done = await gateway.task(task["id"], wait_s=10)
    assert done["status"] == "FAILED"
    attempts = (await gateway.call("GET", f"/api/tasks/{task['id']}/attempts"))[1]
    for shown in (done, attempts, await gateway.events(task["id"])):
        assert token_text not in orjson.dumps(shown).decode()
    assert "[callback token]" in done["error"]
