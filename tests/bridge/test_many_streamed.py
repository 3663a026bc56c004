"""Watches of many tasks as server-sent events: what came at once, with its cursor as its id."""

import asyncio

import grpc
import orjson
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksRequest, WatchTasksResponse
from tests.bridge.upstream import Client, RefusalError, running_bridge

PATH = "/api/watch"


def told(cursor: str, seq: int = 1) -> WatchTasksResponse:
    event = TaskEvent(task_id="task_1", seq=seq, kind=TaskEvent.CREATED, status=Task.PENDING)
    return WatchTasksResponse(events=[event], cursor=cursor)


async def test_a_message_is_an_event_with_its_cursor_as_its_id(client: Client) -> None:
    shown = WatchTasksResponse(tasks=[Task(id="task_0", result_json=b'{ "n": 1.0\n}')])
    for step in (shown, told("abc_-1"), None):
        client.upstream.events.put_nowait(step)
    async with client.http.get(PATH) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        blocks = (await response.text()).split("\n\n")
    # Of the default kind, so that a page needs to know none; without an id there is none to go to.
    first, second = (block.split("\n") for block in blocks[:2])
    assert all(line.startswith("data: ") for line in first)
    plain = orjson.loads("\n".join(line.removeprefix("data: ") for line in first))
    assert plain["tasks"][0]["result"] == {"n": 1}
    assert second[0] == "id: abc_-1"
    plain = orjson.loads(second[1].removeprefix("data: "))
    assert plain["cursor"] == "abc_-1"
    assert plain["events"][0]["seq"] == 1


@pytest.mark.parametrize(
    ("query", "headers", "cursor"),
    [
        ("", {}, ""),
        ("?after=abc", {}, "abc"),
        ("?cursor=abc", {}, "abc"),
        ("", {"Last-Event-ID": "x_-1"}, "x_-1"),
        ("?after=abc", {"Last-Event-ID": "xyz"}, "xyz"),
        ("?after=abc&lastEventId=&r=8765", {}, "abc"),
        ("?after=abc&lastEventId=xyz&r=8765", {}, "xyz"),
        ("?evs_preamble=2056&evs_last_event_id=xyz", {}, "xyz"),
    ],
)
async def test_a_watch_goes_on_after_the_last_id(
    client: Client, query: str, headers: dict[str, str], cursor: str
) -> None:
    client.upstream.events.put_nowait(told("z"))
    client.upstream.events.put_nowait(None)
    async with client.http.get(PATH + query, headers=headers) as response:
        assert (await response.read()).startswith(b"id: z\n")
    assert client.upstream.last == WatchTasksRequest(cursor=cursor, value_format=JSON_TEXT)


async def test_a_query_says_which_tasks(client: Client) -> None:
    client.upstream.events.put_nowait(told("z"))
    client.upstream.events.put_nowait(None)
    query = "?ids=a&ids=b&type=t&labels.job=7&labels.a.b=%26%3D&withoutResults=true"
    async with client.http.get(PATH + query) as response:
        assert response.status == 200
    assert client.upstream.last == WatchTasksRequest(
        ids=["a", "b"],
        type="t",
        labels={"job": "7", "a.b": "&="},
        without_results=True,
        value_format=JSON_TEXT,
    )


@pytest.mark.parametrize("wrong", ["é", "a b", "a=", "x" * 2_001])
async def test_a_last_id_that_is_none_is_refused(client: Client, wrong: str) -> None:
    status, body, _ = await client.call("GET", PATH, params={"lastEventId": wrong})
    assert status == 400
    assert body["error"].startswith("lastEventId: expected an event's id, got ")


@pytest.mark.parametrize("wrong", ["labels=7", "labels.=7", "labels.a=1&labels.a=2", "label.a=1"])
async def test_a_label_that_is_none_is_refused(client: Client, wrong: str) -> None:
    status, body, _ = await client.call("GET", f"{PATH}?{wrong}")
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")


async def test_a_quiet_stream_is_kept_open_and_its_end_is_an_event() -> None:
    async with running_bridge(sse_keepalive_ms=10) as client, client.http.get(PATH) as response:
        for _ in range(2):
            assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
        refusal = RefusalError(
            grpc.StatusCode.UNAVAILABLE, "stopping", ErrorInfo(reason="UNAVAILABLE")
        )
        client.upstream.events.put_nowait(refusal)
        assert b"event: error\ndata: " in await response.content.read()


async def test_a_gateway_that_stops_is_a_503(client: Client) -> None:
    refusal = RefusalError(grpc.StatusCode.UNAVAILABLE, "stopping", ErrorInfo(reason="UNAVAILABLE"))
    client.upstream.events.put_nowait(refusal)
    status, body, _ = await client.call("GET", PATH)
    assert (status, body["error"]) == (503, "stopping")


async def test_a_client_that_goes_away_ends_its_watch(client: Client) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % PATH.encode())
    await client.upstream.begun.wait()
    writer.close()
    async with asyncio.timeout(10):
        await client.upstream.broken_off.wait()
