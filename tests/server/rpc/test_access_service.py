"""What may be called is told before it is called, as the call itself would tell it."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from inferry.server.access.keys import SecretKey
from inferry.server.access.tokens import TokenVerifier
from inferry.server.rpc.access_service import AccessServicer
from inferry.server.rpc.admission import Admission
from inferry.server.rpc.local.channel import LocalChannel
from inferry.server.rpc.permissions import PERMISSIONS, Right
from inferry.v1.access_service_pb2 import CheckAccessRequest, WhoAmIRequest
from inferry.v1.access_service_pb2_grpc import (
    AccessServiceStub,
    add_AccessServiceServicer_to_server,
)
from tests.server.rpc.wiring import (
    ADMIN,
    BACKEND,
    CLIENT,
    SECRET,
    SIGNER,
    TASK,
    FixedClock,
    callback_token,
    failure,
    interceptor,
)
from tests.server.token_rules import TOKEN_RULES

BAD = (("authorization", "Bearer nonsense"),)
CREATE = "/inferry.v1.TaskService/CreateTask"
UPDATE = "/inferry.v1.TaskService/UpdateTask"

Check = Callable[..., Awaitable[Any]]


@pytest.fixture
def servicer() -> AccessServicer:
    # Codes are another matter: see the tests of a whole gateway.
    doors: Any = None
    verifier = TokenVerifier(SecretKey(SECRET), FixedClock(), TOKEN_RULES)
    return AccessServicer(Admission(verifier), SIGNER, verifier, doors)


@pytest.fixture
def check(servicer: AccessServicer) -> Check:
    channel = LocalChannel(interceptor())
    add_AccessServiceServicer_to_server(servicer, channel)
    stub: Any = AccessServiceStub(channel)
    return lambda metadata=(), **asked: stub.CheckAccess(
        CheckAccessRequest(**asked), metadata=metadata
    )


@pytest.mark.parametrize("metadata", [ADMIN, BACKEND, CLIENT])
async def test_each_role_is_told_what_the_table_says(check: Check, metadata: Any) -> None:
    role = metadata[0][1]
    names = {ADMIN[0][1]: "admin", BACKEND[0][1]: "backend", CLIENT[0][1]: "client"}
    for method, allowed in PERMISSIONS.items():
        if Right.ANYBODY in allowed:
            continue
        if names[role] in allowed:
            await check(metadata, method=method)
        else:
            code, text, _ = await failure(check(metadata, method=method))
            assert code is StatusCode.PERMISSION_DENIED
            assert method in text


@pytest.mark.parametrize("metadata", [(), BAD])
async def test_strangers_may_call_nothing(check: Check, metadata: Any) -> None:
    for method in (name for name, allowed in PERMISSIONS.items() if Right.ANYBODY not in allowed):
        code, _, _ = await failure(check(metadata, method=method))
        assert code is StatusCode.UNAUTHENTICATED


async def test_anybody_may_change_a_code(check: Check) -> None:
    for metadata in ((), BAD, CLIENT):
        await check(metadata, method="/inferry.v1.AccessService/ExchangeCode")


async def test_the_token_of_a_callback_decides_for_its_task_alone(check: Check) -> None:
    for metadata in ((), BAD, CLIENT):
        await check(metadata, method=UPDATE, id=TASK, token=callback_token())
        for wrong in (
            {"id": "task_other", "token": callback_token()},
            {"id": TASK, "token": callback_token("task_other")},
            {"id": TASK, "token": "1.srv_1.forged"},
        ):
            code, _, _ = await failure(check(metadata, method=UPDATE, **wrong))
            assert code is StatusCode.UNAUTHENTICATED
    code, _, _ = await failure(check(method=CREATE, id=TASK, token=callback_token()))
    assert code is StatusCode.UNAUTHENTICATED


async def test_what_cannot_be_called_cannot_be_asked_for(check: Check) -> None:
    for method in ("CreateTask", "/grpc.health.v1.Health/Check"):
        code, text, _ = await failure(check(ADMIN, method=method))
        assert (code, text) == (StatusCode.INVALID_ARGUMENT, f"method: there is no {method!r}")


async def test_over_a_socket_a_question_is_small(servicer: AccessServicer) -> None:
    server = grpc.aio.server(interceptors=[interceptor()])
    add_AccessServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = AccessServiceStub(channel)
        await stub.CheckAccess(CheckAccessRequest(method=CREATE), metadata=CLIENT)
        large = CheckAccessRequest(method=CREATE, id="x" * 5_000)
        code, text, _ = await failure(stub.CheckAccess(large, metadata=CLIENT))
        assert (code, "the limit is 4096" in text) == (StatusCode.INVALID_ARGUMENT, True)
    await server.stop(None)


@pytest.mark.parametrize(
    ("metadata", "role"), [(ADMIN, "admin"), (CLIENT, "client"), (BACKEND, "backend")]
)
async def test_a_caller_is_told_whom_their_token_stands_for(
    servicer: AccessServicer, metadata: Any, role: str
) -> None:
    channel = LocalChannel(interceptor())
    add_AccessServiceServicer_to_server(servicer, channel)
    stub: Any = AccessServiceStub(channel)
    told = await stub.WhoAmI(WhoAmIRequest(), metadata=metadata)
    assert list(told.roles) == [role]
    assert told.subject
    assert told.tenant


async def test_nobody_is_told_who_they_are_without_a_token(servicer: AccessServicer) -> None:
    channel = LocalChannel(interceptor())
    add_AccessServiceServicer_to_server(servicer, channel)
    stub: Any = AccessServiceStub(channel)
    code, *_ = await failure(stub.WhoAmI(WhoAmIRequest(), metadata=BAD))
    assert code is StatusCode.UNAUTHENTICATED
