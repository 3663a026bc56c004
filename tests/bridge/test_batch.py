"""Batches over REST: what is no request is refused in its place, the others go on together."""

import asyncio
from typing import Any

import pytest

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResponse,
    BatchCreateTasksResult,
)
from tests.bridge.upstream import Client

PATH = "/api/tasks:batchCreate"
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _creates(client: Client) -> None:
    async def create(request: BatchCreateTasksRequest, _: Any) -> BatchCreateTasksResponse:
        results = [
            BatchCreateTasksResult(task=Task(id=f"task_{one.type}")) for one in request.requests
        ]
        return BatchCreateTasksResponse(results=results)

    client.upstream.answers["BatchCreateTasks"] = create


async def test_answers_come_in_the_places_of_their_requests(client: Client) -> None:
    wrong = {"type": 7}
    given = [wrong, {"type": "a"}, wrong, wrong, {"type": "b"}, wrong]
    status, body, _ = await client.call("POST", PATH, {"requests": given})
    assert status == 200
    ids = [result.get("task", {}).get("id") for result in body["results"]]
    assert ids == [None, "task_a", None, None, "task_b", None]
    assert [one.type for one in client.upstream.last.requests] == ["a", "b"]


async def test_the_gateway_is_not_asked_when_no_request_is_left(client: Client) -> None:
    status, body, _ = await client.call("POST", PATH, {"requests": [7, "x"]})
    assert (status, len(body["results"])) == (200, 2)
    assert not client.upstream.asked


async def test_a_payload_passes_through_byte_for_byte(client: Client) -> None:
    payload = b'{ "b": 1.0, "a": 12345678901234567890 }'
    text = b'{"requests":[{"type":"a","payload":%b}, 5 ]}' % payload
    status, _, _ = await client.call("POST", PATH, data=text, headers=HEADERS)
    assert status == 200
    assert client.upstream.last.requests[0].payload_json == payload


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"requests":[{"type":"a"},{"type":}]}', "no JSON"),
        (b'{"requests":[{"type":"a"}', "no JSON"),
        (b"[]", "expected a JSON object"),
        (b'{"requests":{}}', "expected an array"),
        (b'{"requests":[],"requests":[]}', "named twice"),
        (b'{"tasks":[]}', "tasks: no such field; there are: requests"),
        (b'{"requests":[%b7]}' % (b"7," * 1_000), "requests: 1001; right is 1 to 1000"),
    ],
)
async def test_what_is_no_batch_is_refused_as_a_whole(
    client: Client, text: bytes, words: str
) -> None:
    status, body, _ = await client.call("POST", PATH, data=text, headers=HEADERS)
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
    assert words in body["error"]
    assert not client.upstream.asked


@pytest.mark.parametrize("text", [b"{}", b'{"requests":[]}', b'{"requests":null}'])
async def test_an_empty_batch_is_the_gateways_to_refuse(client: Client, text: bytes) -> None:
    await client.call("POST", PATH, data=text, headers=HEADERS)
    assert client.upstream.last == BatchCreateTasksRequest()


async def test_one_key_does_not_name_many_requests(client: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    status, body, _ = await client.call("POST", PATH, {"requests": []}, headers=headers)
    assert status == 400
    assert "each of its requests has a requestId" in body["error"]


async def test_a_batch_goes_on_without_its_client(client: Client) -> None:
    left, created = asyncio.Event(), asyncio.Event()

    async def create(_: Any, __: Any) -> BatchCreateTasksResponse:
        await left.wait()
        created.set()
        return BatchCreateTasksResponse()

    client.upstream.answers["BatchCreateTasks"] = create
    body = b'{"requests":[{"type":"a"}]}'
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
        % (PATH.encode(), len(body), body)
    )
    async with asyncio.timeout(10):
        await client.upstream.begun.wait()
        writer.close()
        await writer.wait_closed()
        left.set()
        await created.wait()
