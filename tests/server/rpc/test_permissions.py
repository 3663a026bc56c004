from inferry.server.access.tokens import Role
from inferry.server.rpc.permissions import OPEN_SERVICES, PERMISSIONS, Right
from inferry.v1 import (
    access_service_pb2,
    metrics_service_pb2,
    queue_service_pb2,
    server_service_pb2,
    stats_service_pb2,
    task_service_pb2,
    webhook_service_pb2,
    worker_service_pb2,
)

_MODULES = (
    task_service_pb2,
    server_service_pb2,
    queue_service_pb2,
    access_service_pb2,
    metrics_service_pb2,
    worker_service_pb2,
    stats_service_pb2,
    webhook_service_pb2,
)


def test_every_rpc_of_the_protos_is_in_the_table_and_nothing_else() -> None:
    services = [
        service for module in _MODULES for service in module.DESCRIPTOR.services_by_name.values()
    ]
    rpcs = {f"/{service.full_name}/{rpc.name}" for service in services for rpc in service.methods}
    assert set(PERMISSIONS) == rpcs


def test_an_admin_may_call_everything() -> None:
    assert all({Role.ADMIN, Right.ANYBODY} & allowed for allowed in PERMISSIONS.values())


def test_anybody_may_ask_only_what_they_may_do() -> None:
    asked = {name for name, allowed in PERMISSIONS.items() if Right.ANYBODY in allowed}
    assert asked == {
        "/inferry.v1.AccessService/CheckAccess",
        # By a code, which is random and works once.
        "/inferry.v1.AccessService/ExchangeCode",
        # It is of public keys alone.
        "/inferry.v1.AccessService/GetJwks",
    }


def test_a_backend_may_call_nothing_that_creates_or_reads_tasks() -> None:
    tasks = {name: allowed for name, allowed in PERMISSIONS.items() if "TaskService" in name}
    reports = {name.rpartition("/")[2] for name in tasks if Role.BACKEND in tasks[name]}
    assert reports == {"UpdateTask", "ReportTask"}


def test_only_reports_may_come_with_a_callback_token() -> None:
    open_to_callbacks = {name for name, allowed in PERMISSIONS.items() if Right.CALLBACK in allowed}
    assert {name.rpartition("/")[2] for name in open_to_callbacks} == {"UpdateTask", "ReportTask"}


def test_only_the_stream_of_one_task_may_come_with_a_ticket() -> None:
    ticketed = {name for name, allowed in PERMISSIONS.items() if Right.TICKET in allowed}
    assert ticketed == {"/inferry.v1.TaskService/WatchTask"}


def test_no_service_of_ours_is_open() -> None:
    assert not any(service.startswith("inferry.") for service in OPEN_SERVICES)
