import re

import pytest
from structlog.testing import capture_logs

from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import GetTaskResponse, UpdateTaskResponse
from tests.bridge.upstream import Client, running_bridge

ORIGIN = "https://app.example.com"


@pytest.fixture(autouse=True)
def good_answers(client: Client) -> None:
    client.upstream.answers["GetTask"] = GetTaskResponse(task=Task(id="task_1"))
    client.upstream.answers["UpdateTask"] = UpdateTaskResponse(id="task_1")


async def test_the_token_and_the_request_id_go_with_the_call(client: Client) -> None:
    headers = {"Authorization": "Bearer abc", "X-Request-ID": "req-1"}
    _, _, answered = await client.call("GET", "/api/tasks/1", headers=headers)
    assert client.upstream.metadata["authorization"] == "Bearer abc"
    assert client.upstream.metadata["x-request-id"] == "req-1"
    assert answered["X-Request-ID"] == "req-1"


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 129, "é"])
async def test_a_request_without_a_good_id_gets_one(client: Client, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    _, _, answered = await client.call("GET", "/api/tasks/1", headers=headers)
    assert re.fullmatch("[0-9a-f]{16}", answered["X-Request-ID"])
    assert client.upstream.metadata["x-request-id"] == answered["X-Request-ID"]


async def test_a_token_that_cannot_be_one_is_refused(client: Client) -> None:
    status, body, headers = await client.call(
        "GET", "/api/tasks/1", headers={"Authorization": "Bearer é"}
    )
    assert (status, body["code"]) == (401, "UNAUTHENTICATED")
    assert headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("POST", "/", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/nothing?token=x", 404, "NOT_FOUND"),
        ("PATCH", "/api/tasks/1", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/nothing", 404, "NOT_FOUND"),
    ],
)
async def test_a_path_or_method_that_is_not_there_is_answered_with_the_error_body(
    client: Client, verb: str, path: str, status: int, code: str
) -> None:
    answered, body, _ = await client.call(verb, path)
    assert (answered, body["status"], body["code"]) == (status, "FAILED", code)


@pytest.mark.parametrize("path", ["//api/tasks/task_1", "/api/tasks/task_1/"])
async def test_a_path_with_a_slash_too_many_is_the_same(client: Client, path: str) -> None:
    answer = await client.raw(
        b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode()
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert client.upstream.last.id == "task_1"


async def test_options_lists_the_methods_of_this_path_alone(client: Client) -> None:
    for path, allowed in (
        ("/api/tasks/retry", "OPTIONS, POST"),
        ("/api/tasks", "GET, HEAD, OPTIONS, POST"),
        ("/api/tasks/1/cancel", "OPTIONS, POST"),
        ("/api/tasks/1/events", "GET, HEAD, OPTIONS"),
        ("/api/servers/register", "OPTIONS, POST"),
    ):
        async with client.http.options(path) as response:
            assert response.headers["Allow"] == allowed
        status, body, headers = await client.call("PATCH", path)
        assert (status, headers["Allow"]) == (405, allowed)
        assert body["details"]["allowed"] == allowed.split(", ")


async def test_options_lists_the_methods(client: Client) -> None:
    async with client.http.options("/api/tasks/1") as response:
        assert response.status == 204
        assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("allowed", "origin", "printed"),
    [
        (ORIGIN, ORIGIN, ORIGIN),
        (f"https://other.example.com, {ORIGIN}", ORIGIN, ORIGIN),
        ("*", ORIGIN, "*"),
        (ORIGIN, "https://evil.example.com", None),
        ("", ORIGIN, None),
    ],
)
async def test_pages_of_allowed_origins_may_call(
    allowed: str, origin: str, printed: str | None
) -> None:
    async with running_bridge(cors_origins=allowed) as client:
        headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        async with client.http.options("/api/tasks/1", headers=headers) as preflight:
            assert preflight.headers.get("Access-Control-Allow-Origin") == printed
            allows = "PUT" in preflight.headers.get("Access-Control-Allow-Methods", "")
            assert allows == (printed is not None)
            sent = preflight.headers.get("Access-Control-Allow-Headers", "")
            for name in ("Idempotency-Key", "Last-Event-ID", "X-Requested-With"):
                assert (name in sent) == (printed is not None)
        _, _, answered = await client.call("GET", "/nothing", headers=headers)
        assert answered.get("Access-Control-Allow-Origin") == printed
        read = answered.get("Access-Control-Expose-Headers", "")
        assert ("Idempotency-Replayed" in read) == (printed is not None)


async def test_a_request_is_logged_without_what_is_secret(client: Client) -> None:
    with capture_logs() as lines:
        await client.call(
            "PUT",
            "/api/tasks/1?token=hidden-a",
            {"status": "COMPLETED", "result": "hidden-b"},
            headers={"Authorization": "Bearer hidden-c", "X-Request-ID": "req-1"},
        )
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (
        line.items()
        >= {"method": "PUT", "path": "/api/tasks/1", "status": 200, "request_id": "req-1"}.items()
    )
    assert "hidden" not in str(lines)
    assert line["log_level"] == "debug"


async def test_a_line_of_the_log_is_short_whatever_was_asked(client: Client) -> None:
    with capture_logs() as lines:
        await client.call("GET", f"/{'x' * 8_000}")
    assert [len(line["path"]) for line in lines] == [200]


async def test_an_error_of_the_bridge_is_logged_and_told_without_its_text(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr("inferry.bridge.handler.Exchange", fail)
    with capture_logs() as lines:
        status, body, _ = await client.call("GET", "/api/tasks/1")
    assert (status, body["error"]) == (500, "internal error")
    assert [line["log_level"] for line in lines] == ["error", "warning"]
