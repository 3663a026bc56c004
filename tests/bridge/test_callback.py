from io import BytesIO

import pytest
from grpc import StatusCode

from inferry.v1.task_service_pb2 import UpdateTaskResponse
from tests.bridge.upstream import Client, RefusalError

SIGNED = "/api/tasks/task_1?token=1.srv_1.mac"
DONE = {"status": "COMPLETED"}


@pytest.fixture(autouse=True)
def good_answer(client: Client) -> None:
    client.upstream.answers["UpdateTask"] = UpdateTaskResponse(id="task_1")


@pytest.mark.parametrize("header", ["Bearer of-another-service", "Basic dTpw", "Bearer é", ""])
async def test_the_token_of_the_url_decides_whatever_header_comes_with_it(
    client: Client, header: str
) -> None:
    status, _, _ = await client.call("PUT", SIGNED, DONE, headers={"Authorization": header})
    assert (status, client.upstream.last.token) == (200, "1.srv_1.mac")
    assert "authorization" not in client.upstream.metadata
    assert "x-request-id" in client.upstream.metadata


@pytest.mark.parametrize("query", ["", "?token="])
async def test_a_report_without_the_token_of_a_url_has_that_of_the_header(
    client: Client, query: str
) -> None:
    headers = {"Authorization": "Bearer abc"}
    await client.call("PUT", f"/api/tasks/task_1{query}", DONE, headers=headers)
    assert client.upstream.metadata["authorization"] == "Bearer abc"
    headers = {"Authorization": "Bearer é"}
    assert (await client.call("PUT", "/api/tasks/task_1", DONE, headers=headers))[0] == 401


async def test_a_token_in_the_url_is_a_right_to_report_and_to_nothing_else(client: Client) -> None:
    headers = {"Authorization": "Bearer é"}
    for verb in ("GET", "DELETE"):
        assert (await client.call(verb, SIGNED, headers=headers))[0] == 401


@pytest.mark.parametrize(
    ("headers", "data", "status", "words"),
    [
        ({}, b" " * 4_000_000, 413, "the body is larger than"),
        ({"Content-Encoding": "br"}, b"x", 415, "without Content-Encoding"),
    ],
)
async def test_a_report_that_cannot_be_read_is_told_to_the_gateway(
    client: Client, headers: dict[str, str], data: bytes, status: int, words: str
) -> None:
    client.upstream.answers["UpdateTask"] = RefusalError(StatusCode.INVALID_ARGUMENT, "refused")
    answered, body, _ = await client.call("PUT", SIGNED, data=BytesIO(data), headers=headers)
    told = client.upstream.last
    assert (answered, told.id, told.token) == (status, "task_1", "1.srv_1.mac")
    assert words in told.unreadable
    assert body["error"] == told.unreadable
