import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from tests.bridge.upstream import Client, RefusalError

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID_ARGUMENT, 400),
        (Code.UNAUTHENTICATED, 401),
        (Code.PERMISSION_DENIED, 403),
        (Code.NOT_FOUND, 404),
        (Code.FAILED_PRECONDITION, 409),
        (Code.ALREADY_EXISTS, 409),
        (Code.ABORTED, 409),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.CANCELLED, 503),
        (Code.UNAVAILABLE, 503),
        (Code.DEADLINE_EXCEEDED, 504),
        (Code.UNIMPLEMENTED, 501),
        (Code.INTERNAL, 500),
        (Code.UNKNOWN, 500),
        (Code.DATA_LOSS, 500),
    ],
)
async def test_each_grpc_status_has_an_http_status(client: Client, code: Code, status: int) -> None:
    client.upstream.answers["GetTask"] = RefusalError(code, "why", ErrorInfo(reason="A_CODE"))
    answered, body, _ = await client.call("GET", "/api/tasks/1")
    assert answered == status
    assert body == {"status": "FAILED", "error": "why", "code": "A_CODE", "details": {}}


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (Code.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", 413),
        (Code.NOT_FOUND, "GONE", 410),
        (Code.FAILED_PRECONDITION, "STALE_ATTEMPT", 409),
        (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED", 422),
    ],
)
async def test_a_code_may_say_more_than_its_status(
    client: Client, code: Code, reason: str, status: int
) -> None:
    client.upstream.answers["GetTask"] = RefusalError(code, "why", ErrorInfo(reason=reason))
    answered, body, _ = await client.call("GET", "/api/tasks/1")
    assert (answered, body["code"]) == (status, reason)


async def test_details_come_through(client: Client) -> None:
    details = Struct()
    details.update({"status": "COMPLETED", "allowed": ["retry"], "attempt": 2})
    client.upstream.answers["UpdateTask"] = RefusalError(
        Code.FAILED_PRECONDITION, "why", ErrorInfo(reason="ILLEGAL_TRANSITION"), details
    )
    _, body, _ = await client.call("PUT", "/api/tasks/1", {"status": "FAILED"})
    assert body["details"] == {"status": "COMPLETED", "allowed": ["retry"], "attempt": 2}


@pytest.mark.parametrize(
    ("delay", "printed"),
    [
        (Duration(seconds=3), "3"),
        (Duration(seconds=1, nanos=1), "2"),
        (Duration(nanos=5), "1"),
        (Duration(), "1"),
        (Duration(seconds=-5), "1"),
        (Duration(seconds=86_399, nanos=999_999_999), "86400"),
        (Duration(seconds=315_576_000_000), "315576000000"),
    ],
)
@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (Code.RESOURCE_EXHAUSTED, "RESOURCE_LIMIT", 429),
        (Code.UNAVAILABLE, "UNAVAILABLE", 503),
    ],
)
async def test_the_time_to_wait_is_in_whole_seconds_rounded_up(
    client: Client, delay: Duration, printed: str, code: Code, reason: str, status: int
) -> None:
    client.upstream.answers["CreateTask"] = RefusalError(
        code, "full", ErrorInfo(reason=reason), RetryInfo(retry_delay=delay)
    )
    answered, _, headers = await client.call("POST", "/api/tasks", {"type": "a"})
    assert (answered, headers["Retry-After"]) == (status, printed)


async def test_a_missing_token_is_answered_with_the_scheme(client: Client) -> None:
    client.upstream.answers["GetTask"] = RefusalError(Code.UNAUTHENTICATED, "who?")
    _, _, headers = await client.call("GET", "/api/tasks/1")
    assert headers["WWW-Authenticate"] == "Bearer"


async def test_an_error_that_is_not_the_servers_own_keeps_its_text_to_itself(
    client: Client,
) -> None:
    client.upstream.answers["GetTask"] = RuntimeError("secrets of the inside")
    status, body, _ = await client.call("GET", "/api/tasks/1")
    assert (status, body["error"], body["code"]) == (500, "internal error", "INTERNAL_ERROR")


async def test_details_that_cannot_be_read_say_nothing(client: Client) -> None:
    async def answer(request: object, context: grpc.aio.ServicerContext[object, object]) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff"),))
        await context.abort(Code.NOT_FOUND, "why")

    client.upstream.answers["GetTask"] = answer
    status, body, _ = await client.call("GET", "/api/tasks/1")
    assert (status, body["code"]) == (404, "NOT_FOUND")
