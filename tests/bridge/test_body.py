import asyncio
import io
from typing import Any

import orjson
import pytest

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import CreateTaskResponse, UpdateTaskResponse
from tests.bridge.upstream import Client, running_bridge

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def good_answers(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=Task(id="task_1"))
    client.upstream.answers["UpdateTask"] = UpdateTaskResponse(id="task_1")


async def created(client: Client, data: bytes, **headers: str) -> tuple[int, Any]:
    """Creates a task with a body and ``Content-Type: application/json`` or other headers."""
    given = {name.replace("_", "-"): text for name, text in headers.items()} or JSON
    status, body, _ = await client.call("POST", "/api/tasks", data=data, headers=given)
    return status, body


def padded(size: int) -> bytes:
    """Makes a body of a size."""
    body = b'{"status":"COMPLETED","result":"%b"}'
    return body % (b"x" * (size - len(body) + 2))


async def test_a_type_that_is_no_text_is_refused(client: Client) -> None:
    answer = await client.raw(
        b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        b"Content-Type: \xff\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert answer.startswith(b"HTTP/1.1 415 ")


async def test_a_body_that_is_no_json_is_refused_with_the_place(client: Client) -> None:
    status, body = await created(client, b'{"type": "a",\n "async": yes}')
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")
    assert body["details"] == {"position": 24}


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":NaN}',
        b'{"type":"a","type":"b"}',
        b'{"labels":{"a":"b","a":"c"}}',
        b'{"type":"\xff"}',
        b'{"type":"\\ud800"}',
        b"{'type':'a'}",
        b'{"type":"a"} {}',
        b"[" * 5000,
        b"[]",
        b'"a"',
        b"5",
        b"null",
        b"\xef\xbb\xbf",
    ],
)
async def test_what_is_no_json_object_is_refused(client: Client, data: bytes) -> None:
    status, body = await created(client, data)
    assert (status, body["code"], body["status"]) == (400, "INVALID_PAYLOAD", "FAILED")


async def test_a_byte_order_mark_is_passed_over(client: Client) -> None:
    assert (await created(client, b'\xef\xbb\xbf{"type":"a"}'))[0] == 202
    assert client.upstream.last.type == "a"


async def test_what_is_no_json_is_told_as_that_after_a_byte_order_mark_too(client: Client) -> None:
    status, body = await created(client, b'\xef\xbb\xbf{"type":NaN}')
    assert (status, body["details"]["position"]) == (400, 8)
    assert "byte order mark" not in body["error"]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"b":"\\u0000", "a":[1e400, 9223372036854775808 , -0.0]}',
        b'{"a":%b}' % (b"[" * 900 + b"]" * 900),
        b"[oops]",
    ],
)
async def test_a_payload_passes_through_unread(client: Client, payload: bytes) -> None:
    assert (await created(client, b'{"type":"a","payload": %b }' % payload))[0] == 202
    assert client.upstream.last.payload_json == payload


async def test_a_body_that_breaks_off_inside_its_payload_is_refused(client: Client) -> None:
    status, body = await created(client, b'{"type":"a","payload":{"b":1}')
    assert (status, body["error"]) == (
        400,
        "no JSON, at position 29: unexpected end of data",
    )


async def test_metadata_that_would_be_rounded_is_refused(client: Client) -> None:
    text = b'{"url":"http://a","name":"b","metadata":{"n":[9007199254740993]}}'
    status, body, _ = await client.call("POST", "/api/servers/register", data=text, headers=JSON)
    assert (status, body["details"]["field"]) == (400, "metadata.n[0]")
    assert "send it as a string" in body["error"]


async def test_no_body_is_an_empty_object(client: Client) -> None:
    status, _, _ = await client.call("POST", "/api/tasks")
    assert (status, client.upstream.last.type) == (202, "")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/merge-patch+json",
        "text/json",
        "text/x+json",
        "",
    ],
)
async def test_json_has_many_names(client: Client, content_type: str) -> None:
    assert (await created(client, b'{"type":"a"}', Content_Type=content_type))[0] == 202


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "x", "json"]
)
async def test_other_content_is_refused(client: Client, content_type: str) -> None:
    status, body = await created(client, b'{"type":"a"}', Content_Type=content_type)
    assert (status, body["code"]) == (415, "INVALID_FORMAT")
    hinted = "with curl: -H 'Content-Type: application/json'" in body["error"]
    assert hinted == (content_type == "application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "application/vnd.api+json",
        "text/json",
        "text/plain",
        "x",
        "\xff",
        "",
        None,
    ],
)
async def test_a_callback_may_call_its_body_anything(
    client: Client, content_type: str | None
) -> None:
    data = b'{"status":"COMPLETED","result":7}'
    typed = b"" if content_type is None else b"Content-Type: %b\r\n" % content_type.encode("latin1")
    answer = await client.raw(
        b"PUT /api/tasks/task_1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b"
        b"Content-Length: %d\r\n\r\n%b" % (typed, len(data), data)
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert client.upstream.last.update_json == data


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, IDENTITY"])
@pytest.mark.parametrize(("verb", "path"), [("POST", "/api/tasks"), ("PUT", "/api/tasks/task_1")])
async def test_a_coding_that_is_none_is_passed_over(
    client: Client, verb: str, path: str, coding: str
) -> None:
    headers = {"Content-Encoding": coding, **JSON}
    status, _, _ = await client.call(verb, path, data=b"{}", headers=headers)
    assert status in {200, 202}


@pytest.mark.parametrize("coding", ["gzip", "identity, br", "é"])
async def test_a_body_that_is_packed_is_refused(client: Client, coding: str) -> None:
    headers = {"Content-Encoding": coding, **JSON}
    status, body, _ = await client.call("POST", "/api/tasks", data=b"\x1f\x8b", headers=headers)
    assert (status, body["code"]) == (415, "INVALID_FORMAT")
    assert body["error"].startswith("send the body without Content-Encoding, got ")


@pytest.mark.parametrize(
    ("verb", "path", "limit"),
    [
        ("POST", "/api/tasks", MIB),
        ("POST", "/api/servers/register", MIB),
        ("PUT", "/api/tasks/task_1", 3 * MIB),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_a_limit(
    client: Client, verb: str, path: str, limit: int, *, chunked: bool
) -> None:
    async def send(size: int) -> tuple[int, Any]:
        data = io.BytesIO(padded(size))
        status, body, _ = await client.call(
            verb, path, data=data, headers=JSON, chunked=chunked or None
        )
        return status, body

    status, body = await send(limit + 1)
    assert (status, body["code"], body["details"]) == (413, "PAYLOAD_TOO_LARGE", {"limit": limit})
    assert (await send(limit))[0] != 413


async def test_a_client_that_asks_first_is_told_to_go_on(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = (
        b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    )
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b'{"type":"a"}')
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_a_client_that_asks_first_is_told_that_it_is_too_much(client: Client) -> None:
    head = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head + b"Expect: 100-continue\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with running_bridge(body_timeout_ms=20) as client:
        head = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"
        answer = await client.raw(head + b'{"ty')
        assert answer.startswith(b"HTTP/1.1 408")
        assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "TIMEOUT"


async def test_a_body_that_is_not_what_it_says_is_refused(client: Client) -> None:
    head = b"POST /api/tasks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await client.raw(head + b"zz\r\n")).split()[1] == b"400"
