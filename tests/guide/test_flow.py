"""The guide's requests and answers, word for word, against a real gateway over HTTP."""

import json
from urllib.parse import urlsplit

import pytest

from tests.backends import Backend, say
from tests.gateways import Running

CAPABILITIES = ["video-processing", "image-generation"]
SYNC_PAYLOAD = {
    "video_url": "https://example.com/video.mp4",
    "operations": ["transcribe", "summarize"],
    "options": {"language": "en", "format": "srt"},
}
SYNC_RESULT = {
    "transcription": "...",
    "summary": "...",
    "metadata": {"duration": 120, "word_count": 500},
}
ASYNC_PAYLOAD = {
    "video_url": "https://example.com/large-video.mp4",
    "operations": ["full-analysis"],
    "options": {"quality": "high", "include_thumbnails": True},
}
ASYNC_RESULT = {
    "analysis": {"scenes": [], "objects": [], "transcription": "..."},
    "thumbnails": ["https://cdn.example.com/thumb1.jpg", "https://cdn.example.com/thumb2.jpg"],
    "metadata": {"processing_time": 180.5, "frames_processed": 7200},
}


async def register(gateway: Running, backend: Backend) -> str:
    status, body = await gateway.call(
        "POST",
        "/api/servers/register",
        {
            "url": backend.url,
            "name": "gpu-server-01",
            "capabilities": CAPABILITIES,
            "maxConcurrent": 10,
            "metadata": {"gpu": "A100", "vram": "80GB", "region": "us-west"},
        },
    )
    assert status == 200
    assert body == {"id": body["id"], "status": "active"}
    assert body["id"].startswith("srv_")
    return str(body["id"])


async def create(gateway: Running, *, asynchronous: bool) -> tuple[int, dict[str, object]]:
    return await gateway.call(
        "POST",
        "/api/tasks",
        {
            "type": "video-processing",
            "async": asynchronous,
            "payload": ASYNC_PAYLOAD if asynchronous else SYNC_PAYLOAD,
        },
    )


async def test_registering_again_keeps_the_id(gateway: Running, backend: Backend) -> None:
    assert await register(gateway, backend) == await register(gateway, backend)


async def test_a_synchronous_task_that_succeeds(gateway: Running, backend: Backend) -> None:
    await register(gateway, backend)
    backend.answer = say({"status": "success", "result": SYNC_RESULT})
    status, task = await create(gateway, asynchronous=False)
    assert (status, task["status"], task["result"]) == (200, "COMPLETED", SYNC_RESULT)
    assert await backend.next_job() == {
        "id": task["id"],
        "type": "video-processing",
        "payload": SYNC_PAYLOAD,
        "callback_url": None,
        "timeout": 30000,
        "attempt": 1,
    }


async def test_a_synchronous_task_that_fails(gateway: Running, backend: Backend) -> None:
    await register(gateway, backend)
    said = {"status": "error", "error": "Video format not supported", "code": "INVALID_FORMAT"}
    backend.answer = say(said)
    status, task = await create(gateway, asynchronous=False)
    assert status == 200
    assert task["status"] == "FAILED"
    assert (task["error"], task["code"]) == ("Video format not supported", "INVALID_FORMAT")


async def test_an_asynchronous_task_with_progress(gateway: Running, backend: Backend) -> None:
    await register(gateway, backend)
    backend.answer = say({"status": "accepted", "message": "Task queued for processing"})
    status, task = await create(gateway, asynchronous=True)
    assert status == 202
    job = await backend.next_job()
    callback_url = urlsplit(job["callback_url"])
    assert f"{callback_url.scheme}://{callback_url.netloc}" == gateway.url
    assert callback_url.path == f"/api/tasks/{task['id']}"
    assert (job["payload"], job["timeout"]) == (ASYNC_PAYLOAD, 300000)

    said = {"status": "PROCESSING", "progress": 45, "message": "Analyzing video frames..."}
    status, body = await backend.report(job, **said)
    assert (status, body) == (
        200,
        {"id": task["id"], "status": "PROCESSING", "updatedAt": body["updatedAt"]},
    )
    now = await gateway.task(str(task["id"]))
    assert {key: now[key] for key in said} == said

    status, body = await backend.report(job, status="COMPLETED", result=ASYNC_RESULT)
    assert (status, body["status"]) == (200, "COMPLETED")
    now = await gateway.task(str(task["id"]))
    assert (now["status"], now["progress"]) == ("COMPLETED", 100)
    assert json.dumps(now["result"], sort_keys=True) == json.dumps(ASYNC_RESULT, sort_keys=True)


async def test_an_asynchronous_task_that_fails(gateway: Running, backend: Backend) -> None:
    await register(gateway, backend)
    backend.answer = say({"status": "accepted", "message": "Task queued for processing"})
    _, task = await create(gateway, asynchronous=True)
    said = {
        "status": "FAILED",
        "error": "Out of memory while processing video",
        "details": {"frame": 3600, "memory_used": "32GB"},
    }
    status, body = await backend.report(await backend.next_job(), **said)
    assert (status, body["status"]) == (200, "FAILED")
    now = await gateway.task(str(task["id"]))
    assert {key: now[key] for key in said} == said


async def test_an_asynchronous_task_that_is_answered_at_once(
    gateway: Running, backend: Backend
) -> None:
    await register(gateway, backend)
    backend.answer = say({"status": "success", "result": SYNC_RESULT})
    _, task = await create(gateway, asynchronous=True)
    now = await gateway.task(str(task["id"]), wait_s=10)
    assert (now["status"], now["result"]) == ("COMPLETED", SYNC_RESULT)


@pytest.mark.parametrize(
    "code",
    ["INVALID_FORMAT", "RESOURCE_LIMIT", "TIMEOUT", "INTERNAL_ERROR", "INVALID_PAYLOAD"],
)
async def test_the_standard_error_format_in_a_callback(
    gateway: Running, backend: Backend, code: str
) -> None:
    await register(gateway, backend)
    backend.answer = say({"status": "accepted"})
    _, task = await create(gateway, asynchronous=True)
    said = {
        "status": "FAILED",
        "error": "Brief error message",
        "code": code,
        "details": {"more": "context"},
    }
    status, _ = await backend.report(await backend.next_job(), **said)
    now = await gateway.task(str(task["id"]))
    assert status == 200
    assert {key: now[key] for key in said} == said


@pytest.mark.parametrize(
    ("word", "then"),
    [
        ("PENDING", "PENDING"),
        ("PROCESSING", "PROCESSING"),
        ("COMPLETED", "COMPLETED"),
        ("FAILED", "FAILED"),
        ("TIMEOUT", "TIMEOUT"),
        ("CANCELLED", "CANCELLED"),
    ],
)
async def test_every_status_code_of_the_table(
    gateway: Running, backend: Backend, word: str, then: str
) -> None:
    await register(gateway, backend)
    # The callback arrives while the dispatch is still unanswered: a fast backend.
    reported = say({"status": "accepted"})

    async def report_first(job: dict[str, object]) -> object:
        status, body = await backend.report(job, status=word)
        assert (status, body["status"]) == (200, then)
        return await reported(job)

    backend.answer = report_first  # type: ignore[assignment]
    _, task = await create(gateway, asynchronous=True)
    job = await backend.next_job()
    assert job["id"] == task["id"]
    now = await gateway.task(str(task["id"]), wait_s=10 if then not in PASSING else 0)
    assert now["status"] == then or then in PASSING


PASSING = ("PENDING", "PROCESSING")


async def test_a_health_answer_shows_in_the_list_of_servers(
    gateway: Running, backend: Backend
) -> None:
    server_id = await register(gateway, backend)
    server = await gateway.eventually(f"/api/servers/{server_id}", lambda one: "load" in one)
    assert server["status"] == "active"
    assert server["load"] == {"cpu": 45, "memory": 60, "activeTasks": 3, "queueLength": 5}
    _, listed = await gateway.call("GET", "/api/servers")
    assert [one["id"] for one in listed["servers"]] == [server_id]
