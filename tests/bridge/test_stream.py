import asyncio

import grpc
import orjson
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from inferry.v1.task_pb2 import JSON_TEXT, Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTaskRequest, WatchTaskResponse
from tests.bridge.upstream import Client, RefusalError, running_bridge
from tests.reads import watch_reads

PATH = "/api/tasks/task_1/events"


def event(seq: int, kind: TaskEvent.Kind.ValueType, message: str = "") -> WatchTaskResponse:
    return WatchTaskResponse(
        event=TaskEvent(task_id="task_1", seq=seq, kind=kind, status=Task.PENDING, message=message)
    )


async def test_events_come_in_order_and_end(client: Client) -> None:
    for step in (event(1, TaskEvent.CREATED), event(2, TaskEvent.PROGRESSED, "a\nb"), None):
        client.upstream.events.put_nowait(step)
    async with client.http.get(PATH) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        blocks = (await response.text()).split("\n\n")
    assert blocks.pop() == ""
    first, second = (block.split("\n") for block in blocks)
    assert first[:2] == ["id: 1", "event: created"]
    assert second[:2] == ["id: 2", "event: progressed"]
    plain = orjson.loads(second[2].removeprefix("data: "))
    assert (plain["seq"], plain["kind"], plain["message"]) == (2, "PROGRESSED", "a\nb")


async def test_a_place_in_the_queue_has_no_number_of_its_own(client: Client) -> None:
    queued = event(1, TaskEvent.QUEUED)
    queued.event.queue_position = 4
    held = event(2, TaskEvent.HELD)
    for step in (event(1, TaskEvent.CREATED), queued, held, None):
        client.upstream.events.put_nowait(step)
    async with client.http.get(PATH) as response:
        blocks = (await response.text()).split("\n\n")
    kind, data = blocks[1].split("\n")
    assert kind == "event: queued"
    plain = orjson.loads(data.removeprefix("data: "))
    assert (plain["seq"], plain["kind"], plain["queuePosition"]) == (1, "QUEUED", 4)
    assert blocks[2].startswith("id: 2\nevent: held\n")


async def test_an_event_comes_when_it_happens(client: Client) -> None:
    client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
    async with client.http.get(PATH) as response:
        assert (await response.content.readuntil(b"\n\n")).startswith(b"id: 1\n")
        client.upstream.events.put_nowait(event(2, TaskEvent.FINISHED))
        assert (await response.content.readuntil(b"\n\n")).startswith(b"id: 2\n")
        client.upstream.events.put_nowait(None)
        assert await response.content.read() == b""


@pytest.mark.parametrize(
    ("query", "headers", "after"),
    [
        ("", {}, 0),
        ("?after=5", {}, 5),
        ("?after_seq=5", {}, 5),
        ("", {"Last-Event-ID": "7"}, 7),
        ("?after=5", {"Last-Event-ID": "7"}, 7),
        ("?after=5", {"Last-Event-ID": ""}, 5),
        # As polyfills of EventSource ask, at first and again.
        ("?lastEventId=&r=8765", {}, 0),
        ("?after=5&lastEventId=&r=8765", {}, 5),
        ("?after=5&lastEventId=7&r=8765", {}, 7),
        ("?lastEventId", {}, 0),
        ("?evs_preamble=2056", {}, 0),
        ("?evs_preamble=2056&evs_last_event_id=7", {}, 7),
        ("?Last-Event-ID=7", {}, 7),
        ("?lastEventId=6", {"Last-Event-ID": "7"}, 7),
    ],
)
async def test_a_watch_goes_on_after_the_last_event(
    client: Client, query: str, headers: dict[str, str], after: int
) -> None:
    client.upstream.events.put_nowait(event(8, TaskEvent.FINISHED))
    client.upstream.events.put_nowait(None)
    async with client.http.get(PATH + query, headers=headers) as response:
        assert (await response.read()).startswith(b"id: 8\n")
    assert client.upstream.last == WatchTaskRequest(
        id="task_1", after_seq=after, value_format=JSON_TEXT
    )


@pytest.mark.parametrize("last", ["first", "-1", "1.5", "9" * 19, "१"])
@pytest.mark.parametrize("name", ["Last-Event-ID", "lastEventId", "evs_last_event_id"])
async def test_a_last_event_that_is_none_is_refused(client: Client, name: str, last: str) -> None:
    said = {"headers" if name == "Last-Event-ID" else "params": {name: last}}
    status, body, _ = await client.call("GET", PATH, **said)
    assert status == 400
    assert body["error"].startswith(f"{name}: expected an event's number, got ")


async def test_a_last_event_that_is_none_is_refused_beside_one_that_is(client: Client) -> None:
    last = {"Last-Event-ID": "7"}
    status, body, _ = await client.call("GET", f"{PATH}?lastEventId=first", headers=last)
    assert (status, body["error"]) == (
        400,
        'lastEventId: expected an event\'s number, got "first"',
    )


async def test_a_wrong_after_is_refused_also_where_a_last_event_takes_its_place(
    client: Client,
) -> None:
    last = {"Last-Event-ID": "7"}
    status, body, _ = await client.call("GET", f"{PATH}?after=-1", headers=last)
    assert (status, body["details"]) == (400, {"field": "after"})


async def test_an_unknown_parameter_of_a_watch_is_refused(client: Client) -> None:
    assert (await client.call("GET", f"{PATH}?lastId=7"))[0] == 400
    assert (await client.call("GET", "/api/tasks/task_1?lastEventId=7"))[0] == 400


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_after_the_end_there_is_no_content(client: Client, verb: str) -> None:
    client.upstream.events.put_nowait(None)
    async with client.http.request(verb, PATH, headers={"Last-Event-ID": "8"}) as response:
        assert (response.status, await response.read()) == (204, b"")
        assert "Content-Type" not in response.headers


async def test_the_head_of_a_stream_does_not_wait_for_an_event() -> None:
    async with running_bridge(sse_keepalive_ms=10) as client:
        async with client.http.get(PATH) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
            refusal = RefusalError(grpc.StatusCode.UNAVAILABLE, "stopping")
            client.upstream.events.put_nowait(refusal)
            rest = await response.content.read()
        assert b"event: error\ndata: " in rest
        async with client.http.get(PATH) as response:
            client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
            client.upstream.events.put_nowait(None)
            assert b"id: 1\n" in await response.content.read()


async def test_a_header_that_is_no_text_is_refused(client: Client) -> None:
    answer = await client.raw(
        b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLast-Event-ID: \xff\r\n\r\n"
        % PATH.encode()
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_an_error_before_the_first_event_is_a_plain_error(client: Client) -> None:
    refusal = RefusalError(grpc.StatusCode.NOT_FOUND, "no such task", ErrorInfo(reason="NOT_FOUND"))
    client.upstream.events.put_nowait(refusal)
    status, body, _ = await client.call("GET", PATH)
    assert (status, body["error"]) == (404, "no such task")


async def test_an_error_after_an_event_is_an_event(client: Client) -> None:
    client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
    refusal = RefusalError(grpc.StatusCode.UNAVAILABLE, "stopping", ErrorInfo(reason="UNAVAILABLE"))
    client.upstream.events.put_nowait(refusal)
    async with client.http.get(PATH) as response:
        last = (await response.text()).split("\n\n")[1]
    kind, data = last.split("\n")
    assert kind == "event: error"
    assert orjson.loads(data.removeprefix("data: "))["error"] == "stopping"


async def test_a_silent_stream_is_kept_open_by_comments() -> None:
    async with running_bridge(sse_keepalive_ms=10) as client, client.http.get(PATH) as response:
        comment = b": keep-alive\n\n"
        # Before its first event, and after it.
        assert await response.content.readuntil(b"\n\n") == comment
        client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
        while (block := await response.content.readuntil(b"\n\n")) == comment:
            pass
        assert block.startswith(b"id: 1\n")
        assert await response.content.readuntil(b"\n\n") == comment
        assert await response.content.readuntil(b"\n\n") == comment


@pytest.mark.parametrize("events", [0, 1])
async def test_a_client_that_goes_away_ends_its_stream(client: Client, events: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % PATH.encode())
    if events:
        client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
        await reader.readuntil(b"id: 1")
    else:
        await client.upstream.begun.wait()
    writer.close()
    await client.upstream.broken_off.wait()


async def test_head_of_a_stream_has_no_events(client: Client) -> None:
    client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
    async with client.http.head(PATH) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
    await client.upstream.broken_off.wait()


async def test_a_client_that_leaves_leaves_no_read_behind_that_was_broken_off(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = watch_reads(monkeypatch)
    client.upstream.events.put_nowait(event(1, TaskEvent.CREATED))
    async with client.http.get(PATH) as response:
        await response.content.readuntil(b"\n\n")
        await reads.until(lambda: reads.begun == 2)
    await reads.until(lambda: reads.begun == reads.ended + reads.broken_off)
    assert reads.broken_off == 0
