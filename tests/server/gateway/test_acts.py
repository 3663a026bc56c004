"""What people do to tasks, servers and types is in the log, with who did it and to how many."""

from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from inferry.server.access.tokens import Role
from inferry.server.rpc.acts import ACTS
from inferry.v1 import queue_service_pb2, server_service_pb2, task_service_pb2
from tests.backends import running_backend
from tests.gateways import running_gateway, token


async def test_each_act_is_noted_with_who_and_how_many(tmp_path: Path) -> None:
    ops = token(Role.ADMIN, tenant="acme", subject="olga")
    async with running_gateway(tmp_path) as gateway, running_backend() as backend:
        server = await gateway.register(backend, capabilities=["nothing"])
        ids = [(await gateway.create(labels={"job": "7"}))["id"] for _ in range(3)]
        with capture_logs() as logs:
            calls: list[tuple[str, str, object]] = [
                ("POST", f"/api/tasks/{ids[0]}/cancel", {}),
                ("POST", "/api/tasks/cancel", {"labels": {"job": "7"}}),
                ("POST", f"/api/tasks/{ids[0]}/retry", None),
                ("POST", "/api/tasks/retry", {"status": "CANCELLED", "type": "echo"}),
                ("DELETE", f"/api/tasks/{ids[0]}", None),
                ("POST", "/api/tasks/purge", {"status": "CANCELLED", "type": "echo"}),
                ("POST", "/api/queue/pause", {"type": "echo"}),
                ("POST", "/api/queue/resume", {"type": "echo"}),
                ("POST", f"/api/servers/{server}/drain", None),
                ("POST", f"/api/servers/{server}/resume", None),
                ("DELETE", f"/api/servers/{server}?grace=0", None),
            ]
            for verb, path, body in calls:
                status, answer = await gateway.call(verb, path, body, ops)
                assert status == 200, answer
            assert (await gateway.call("POST", "/api/queue/pause", {"type": "?"}, ops))[0] == 400
    acts: list[dict[str, Any]] = [dict(one) for one in logs if one["event"] == "done on request"]
    assert {(one["by"], one["tenant"], one["log_level"]) for one in acts} == {
        ("olga", "acme", "info")
    }
    told = [(one["act"], one["count"], one.get("id", one.get("type"))) for one in acts]
    assert told == [
        ("CancelTask", 1, ids[0]),
        ("CancelTasks", 2, None),
        ("RetryTask", 1, ids[0]),
        ("RetryTasks", 2, "echo"),
        ("CancelTask", 1, ids[0]),
        ("PurgeTasks", 1, "echo"),
        ("PauseType", 1, "echo"),
        ("ResumeType", 1, "echo"),
        ("DrainServer", 1, server),
        ("ResumeServer", 1, server),
        ("DeregisterServer", 1, server),
    ]


def test_every_call_that_steers_is_an_act() -> None:
    """What the services have besides: reads, creations, and what servers say of themselves."""
    others = {"RegisterServer", "Heartbeat", "CreateTask", "BatchCreateTasks"}
    others |= {"UpdateTask", "ReportTask", "FollowTasks", "ExplainTask", "CountTasks"}
    # One for each browser that watches: as creations, the work itself.
    others |= {"CreateStreamUrl"}
    found = {
        method.name
        for module in (task_service_pb2, server_service_pb2, queue_service_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    reads = {name for name in found if name.startswith(("Get", "List", "Watch"))}
    assert found - reads - others == set(ACTS)
