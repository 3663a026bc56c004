import logging
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2_grpc
from structlog.typing import EventDict

from inferry.server.rpc.health_service import HealthServicer
from inferry.server.rpc.local.channel import LocalChannel
from inferry.v1.task_service_pb2_grpc import TaskServiceStub, add_TaskServiceServicer_to_server
from tests.server.rpc.wiring import Log, Servicer, Wired, interceptor


@pytest.fixture
def log() -> Iterator[Log]:
    before = structlog.get_config()
    capture = Log()
    structlog.configure(
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    yield capture
    structlog.configure(**before)


@pytest.fixture
def logged(log: Log) -> list[EventDict]:
    return log.entries


@pytest.fixture(params=["same process", "socket"])
async def wired(request: pytest.FixtureRequest, logged: list[EventDict]) -> AsyncIterator[Wired]:
    servicer = Servicer()  # type: ignore[abstract]
    probes = HealthServicer()
    if request.param == "same process":
        local = LocalChannel(interceptor())
        add_TaskServiceServicer_to_server(servicer, local)
        health_pb2_grpc.add_HealthServicer_to_server(probes, local)
        yield Wired(TaskServiceStub(local), health_pb2_grpc.HealthStub(local), servicer)
        return
    server = grpc.aio.server(interceptors=[interceptor()])
    add_TaskServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Wired(TaskServiceStub(channel), health_pb2_grpc.HealthStub(channel), servicer)
    await server.stop(None)
