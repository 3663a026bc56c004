"""Odd content at each door: it is refused or taken, never an internal error, never unreadable."""

import base64

import grpc
import pytest

from inferry.bridge.rpc_errors import http_error
from inferry.v1.server_service_pb2 import ListServersRequest, RegisterServerRequest
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.task_pb2 import STRUCT
from inferry.v1.task_service_pb2 import WatchTaskRequest
from tests.backends import Backend, say
from tests.gateways import Running, token

FACE = "\N{GRINNING FACE}"


@pytest.mark.parametrize("path", ["/api/tasks", "/api/servers"])
@pytest.mark.parametrize("number", [2**63, 10**30, -5])
async def test_a_page_token_that_no_list_gave_is_refused(
    gateway: Running, path: str, number: int
) -> None:
    page_token = base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")
    status, body = await gateway.call("GET", f"{path}?pageToken={page_token}")
    assert (status, body["code"]) == (400, "INVALID_PAYLOAD")


async def test_servers_with_all_that_they_can_have_are_listed_to_a_stub_with_default_options(
    gateway: Running,
) -> None:
    metadata = (("authorization", f"Bearer {token()}"),)
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        stub = ServerServiceStub(channel)
        request = RegisterServerRequest(
            url=f"http://127.0.0.1:9/{'u' * 2_000}",
            capabilities=[f"{n:03}{'c' * 125}" for n in range(256)],
        )
        request.metadata["m"] = "m" * 65_500
        for number in range(60):
            request.name = f"{FACE * 126}{number:02}"
            await stub.RegisterServer(request, metadata=metadata)
        seen, page = [], ListServersRequest(page_size=500)
        while True:
            response = await stub.ListServers(page, metadata=metadata)
            seen += [server.name[-2:] for server in response.servers]
            page.page_token = response.next_page_token
            if not page.page_token:
                break
        assert seen == [f"{number:02}" for number in range(60)]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"metadata": {"m": "m" * 65_600}}, "metadata: larger than 65536 bytes"),
        ({"name": "a\0b"}, "none of them a control character"),
        ({"name": "\N{LINE SEPARATOR}"}, "none of them a control character"),
        ({"url": f"http://127.0.0.1:9/{'u' * 2_048}"}, "the limit is 2048"),
    ],
)
async def test_a_registration_that_nobody_could_list_is_refused(
    gateway: Running, more: dict[str, object], reason: str
) -> None:
    said = {"url": "http://127.0.0.1:9", "name": "a", **more}
    status, body = await gateway.call("POST", "/api/servers/register", said)
    assert status == 400
    assert reason in body["error"]


@pytest.mark.parametrize("reason", [FACE * 4_096, FACE * 4_097])
async def test_a_reason_to_cancel_is_bounded_as_every_error_is(
    gateway: Running, reason: str
) -> None:
    path = f"/api/tasks/{(await gateway.create())['id']}"
    status, body = await gateway.call("POST", f"{path}/cancel", {"reason": reason})
    if len(reason) > 4_096:
        assert (status, body["error"]) == (400, "reason: 4097 characters; the limit is 4096")
        assert (await gateway.call("GET", path))[1]["status"] == "PENDING"
    else:
        assert (status, body["error"]) == (200, reason)


async def test_who_watches_in_a_form_that_a_result_does_not_fit_learns_of_the_end(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = say(b'{"status":"success","result":9007199254740993}')
    await gateway.register(backend)
    task = await gateway.create()
    call = gateway.tasks.WatchTask(
        WatchTaskRequest(id=task["id"], value_format=STRUCT),
        metadata=(("authorization", f"Bearer {token()}"),),
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        _ = [response async for response in call]
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    told = http_error(refused.value)
    assert told.code == "VALUE_DOES_NOT_FIT"
    assert told.details == {"taskId": task["id"], "status": "COMPLETED"}
