"""The endpoints that show and steer the queue, and that explain: routes, requests, answers."""

from typing import Any

import pytest

from inferry.v1.queue_pb2 import TypeQueue
from inferry.v1.queue_service_pb2 import (
    GetQueueResponse,
    PauseTypeRequest,
    PauseTypeResponse,
    ResumeTypeRequest,
    ResumeTypeResponse,
)
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    DeregisterServerResponse,
    GetServerResponse,
)
from inferry.v1.task_pb2 import JSON_TEXT, Task
from inferry.v1.task_service_pb2 import (
    CreateTaskRequest,
    CreateTaskResponse,
    ExplainTaskRequest,
    ExplainTaskResponse,
    RetryTaskRequest,
    RetryTaskResponse,
    RetryTasksRequest,
    RetryTasksResponse,
    ServerVerdict,
)
from tests.bridge.upstream import Client

NEW_YEAR_MS = 1767225600000
NEW_YEAR = "2026-01-01T00:00:00.000Z"


async def test_the_queue_is_shown_by_type(client: Client) -> None:
    paused = TypeQueue(type="a", waiting=2, delayed=1, paused=True, pause_reason="new model")
    paused.paused_at.FromMilliseconds(NEW_YEAR_MS)
    client.upstream.answers["GetQueue"] = GetQueueResponse(
        waiting=4, limit=10_000, left_last_minute=60, types=[paused, TypeQueue(type="b", waiting=1)]
    )
    status, body, _ = await client.call("GET", "/api/queue")
    assert status == 200
    assert body == {
        "waiting": 4,
        "limit": 10_000,
        "leftLastMinute": 60,
        "types": [
            {
                "type": "a",
                "waiting": 2,
                "delayed": 1,
                "paused": True,
                "pauseReason": "new model",
                "pausedAt": NEW_YEAR,
                "tenants": [],
            },
            {"type": "b", "waiting": 1, "delayed": 0, "paused": False, "tenants": []},
        ],
    }


async def test_a_type_is_paused_and_resumed(client: Client) -> None:
    queue = TypeQueue(type="a", paused=True)
    client.upstream.answers["PauseType"] = PauseTypeResponse(queue=queue)
    client.upstream.answers["ResumeType"] = ResumeTypeResponse(queue=TypeQueue(type="a"))
    said = {"type": "a", "reason": "new model"}
    status, body, _ = await client.call("POST", "/api/queue/pause", said)
    assert (status, body["type"], body["paused"]) == (200, "a", True)
    assert client.upstream.last == PauseTypeRequest(type="a", reason="new model")
    status, body, _ = await client.call("POST", "/api/queue/resume", {"type": "a"})
    assert (status, body["paused"]) == (200, False)
    assert client.upstream.last == ResumeTypeRequest(type="a")


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (None, RetryTasksRequest()),
        ({}, RetryTasksRequest()),
        (
            {
                "status": "TIMEOUT",
                "type": "a",
                "serverId": "srv_1",
                "code": "INTERNAL_ERROR",
                "limit": 10,
                "pageToken": "next",
            },
            RetryTasksRequest(
                status=Task.TIMEOUT,
                type="a",
                server_id="srv_1",
                code="INTERNAL_ERROR",
                limit=10,
                page_token="next",
            ),
        ),
    ],
)
async def test_many_tasks_are_started_again(
    client: Client, body: dict[str, Any] | None, asked: RetryTasksRequest
) -> None:
    client.upstream.answers["RetryTasks"] = RetryTasksResponse(retried=3, next_page_token="more")
    status, answer, _ = await client.call("POST", "/api/tasks/retry", body)
    assert (status, client.upstream.last) == (200, asked)
    assert answer == {"retried": 3, "nextPageToken": "more", "queueFull": False}


async def test_one_task_is_started_again_beside_that(client: Client) -> None:
    client.upstream.answers["RetryTask"] = RetryTaskResponse(task=Task(id="task_1"))
    status, body, _ = await client.call("POST", "/api/tasks/task_1/retry")
    assert (status, body["id"], client.upstream.last) == (
        200,
        "task_1",
        RetryTaskRequest(id="task_1", value_format=JSON_TEXT),
    )


async def test_a_task_is_explained_in_words_for_programs_and_people(client: Client) -> None:
    answer = ExplainTaskResponse(
        id="task_1",
        status=Task.PENDING,
        reason=ExplainTaskResponse.NO_FREE_SERVER,
        text="why",
        remedy="what would help",
        queue_position=1,
    )
    answer.estimated_start_at.FromMilliseconds(NEW_YEAR_MS)
    verdict = answer.servers.add(server_id="srv_1", name="one", rule=ServerVerdict.BREAKER_OPEN)
    verdict.until.FromMilliseconds(NEW_YEAR_MS)
    answer.servers.add(server_id="srv_2", name="two", rule=ServerVerdict.ELIGIBLE, text="free")
    client.upstream.answers["ExplainTask"] = answer
    status, body, _ = await client.call("GET", "/api/tasks/task_1/explain")
    assert (status, client.upstream.last) == (200, ExplainTaskRequest(id="task_1"))
    assert body == {
        "id": "task_1",
        "status": "PENDING",
        "reason": "NO_FREE_SERVER",
        "text": "why",
        "remedy": "what would help",
        "queuePosition": 1,
        "estimatedStartAt": NEW_YEAR,
        "servers": [
            {"serverId": "srv_1", "name": "one", "rule": "BREAKER_OPEN", "until": NEW_YEAR},
            {"serverId": "srv_2", "name": "two", "rule": "ELIGIBLE", "text": "free"},
        ],
    }


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", DeregisterServerRequest(id="srv_1")),
        ("?grace=5000", DeregisterServerRequest(id="srv_1", grace_ms=5_000)),
        ("?grace_ms=0", DeregisterServerRequest(id="srv_1", grace_ms=0)),
    ],
)
async def test_a_server_leaves_with_a_time_of_grace(
    client: Client, query: str, asked: DeregisterServerRequest
) -> None:
    client.upstream.answers["DeregisterServer"] = DeregisterServerResponse()
    status, body, _ = await client.call("DELETE", f"/api/servers/srv_1{query}")
    assert (status, body, client.upstream.last) == (200, {}, asked)


async def test_a_time_of_grace_is_a_number(client: Client) -> None:
    status, body, _ = await client.call("DELETE", "/api/servers/srv_1?grace=5s")
    assert (status, body["error"]) == (400, 'grace: expected an integer, got "5s"')


async def test_a_breaker_is_shown_beside_the_status(client: Client) -> None:
    server = Server(id="srv_1", status=Server.ACTIVE, breaker=Server.HALF_OPEN)
    server.retry_at.FromMilliseconds(NEW_YEAR_MS)
    client.upstream.answers["GetServer"] = GetServerResponse(server=server)
    _, body, _ = await client.call("GET", "/api/servers/srv_1")
    assert (body["status"], body["breaker"], body["retryAt"]) == ("active", "HALF_OPEN", NEW_YEAR)


async def test_a_task_is_created_with_all_its_timeouts(client: Client) -> None:
    client.upstream.answers["CreateTask"] = CreateTaskResponse(task=Task(id="task_1"))
    timeouts = {"timeout": 1, "queueTimeout": 2, "silenceTimeout": 0, "totalTimeout": 4}
    await client.call("POST", "/api/tasks", {"type": "a", **timeouts})
    assert client.upstream.last == CreateTaskRequest(
        type="a",
        timeout_ms=1,
        queue_timeout_ms=2,
        silence_timeout_ms=0,
        total_timeout_ms=4,
        value_format=JSON_TEXT,
    )
