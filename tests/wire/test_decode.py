from typing import Any, TypeVar

import orjson
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.http_pb2 import HttpRequest

from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import (
    HeartbeatRequest,
    ListServersResponse,
    RegisterServerRequest,
)
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest, ListTasksRequest
from inferry.wire.decode import decoder, query_setters
from inferry.wire.errors import FieldError

Kind = TypeVar("Kind", bound=Message)


def decoded(kind: type[Kind], data: dict[str, Any] | bytes) -> Kind:
    message = kind()
    decoder(kind.DESCRIPTOR)(message, data if isinstance(data, bytes) else orjson.dumps(data))
    return message


def refusal(kind: type[Message], data: dict[str, Any] | bytes) -> str:
    with pytest.raises(FieldError) as refused:
        decoded(kind, data)
    return str(refused.value)


def test_both_spellings_of_a_field_are_taken() -> None:
    assert decoded(CreateTaskRequest, {"timeout": 5, "maxAttempts": 2, "async": False}) == decoded(
        CreateTaskRequest, {"timeout_ms": 5, "max_attempts": 2, "asynchronous": False}
    )


def test_every_kind_of_field_is_taken() -> None:
    request = decoded(
        CreateTaskRequest,
        {
            "type": "a",
            "payload": {"b": [1, "c", None, True]},
            "priority": 3.0,
            "capabilities": ["gpu"],
            "labels": {"team": "x"},
            "notBefore": "2026-01-31T12:00:00.5Z",
            "delayMs": "7",
        },
    )
    assert request.priority == 3
    assert request.delay_ms == 7
    assert dict(request.labels) == {"team": "x"}
    assert list(request.capabilities) == ["gpu"]
    assert request.not_before.ToMilliseconds() == 1769860800500
    assert request.payload_json == b'{"b":[1,"c",null,true]}'


def test_null_leaves_a_field_unset_but_is_a_result() -> None:
    update = decoded(TaskUpdate, {"status": "COMPLETED", "progress": None, "result": None})
    assert not update.HasField("progress")
    assert update.result_json == b"null"


@pytest.mark.parametrize(
    "data",
    [{"payload": None}, {"labels": None}, {"capabilities": None}, {"type": None, "async": None}],
)
def test_null_is_as_good_as_nothing(data: dict[str, Any]) -> None:
    assert decoded(CreateTaskRequest, data) == CreateTaskRequest()


def test_an_empty_object_is_there() -> None:
    assert decoded(CreateTaskRequest, {"payload": {}}).payload_json == b"{}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"timeout": "soon"}, 'timeout: expected an integer, got "soon"'),
        ({"timeout": 1.5}, "timeout: expected an integer, got 1.5"),
        ({"timeout": True}, "timeout: expected an integer, got true"),
        (
            {"timeout": 3_000_000_000},
            "timeout: expected an integer from -2147483648 to 2147483647, got 3000000000",
        ),
        ({"type": 5}, "type: expected a string, got 5"),
        ({"async": "false"}, 'async: expected true or false, got "false"'),
        ({"labels": {"team": 5}}, "labels.team: expected a string, got 5"),
        ({"labels": "x"}, 'labels: expected an object, got "x"'),
        ({"capabilities": ["a", 2]}, "capabilities[1]: expected a string, got 2"),
        ({"capabilities": "gpu"}, 'capabilities: expected an array, got "gpu"'),
        (
            {"notBefore": "tomorrow"},
            'notBefore: expected an RFC 3339 time such as "2026-01-31T12:00:00Z", got "tomorrow"',
        ),
        ({"notBefore": 5}, 'notBefore: expected an RFC 3339 time such as "2026-01-31T12:00:00Z"'),
        (
            {"notBefore": "0001-01-01T01:00:00+21:00"},
            'notBefore: expected an RFC 3339 time such as "2026-01-31T12:00:00Z", got "0001-',
        ),
        (
            {"notBefore": "9999-12-31T23:59:59-01:00"},
            'notBefore: expected an RFC 3339 time such as "2026-01-31T12:00:00Z", got "9999-',
        ),
    ],
)
def test_a_wrong_field_is_named_with_what_came_and_what_is_right(
    data: dict[str, Any], message: str
) -> None:
    assert refusal(CreateTaskRequest, data).startswith(message)


def test_a_client_hears_of_a_field_that_does_not_exist() -> None:
    message = refusal(CreateTaskRequest, {"typ": "a"})
    assert message.startswith("typ: no such field; there are: type, payload, async, timeout")


def test_json_values_pass_through_as_they_came() -> None:
    text = b'{"type":"a", "payload" : {"z":1e400,\n "a":[9223372036854775808, "\\ud83d"]}}'
    request = decoded(CreateTaskRequest, text)
    assert request.payload_json == b'{"z":1e400,\n "a":[9223372036854775808, "\\ud83d"]}'
    assert not request.HasField("payload")


@pytest.mark.parametrize("name", ["payload_json", "payloadJson", "value_format", "valueFormat"])
def test_the_forms_of_json_values_are_no_matter_of_json(name: str) -> None:
    assert "no such field" in refusal(CreateTaskRequest, {name: "STRUCT"})
    assert name not in query_setters(CreateTaskRequest.DESCRIPTOR)


def test_a_member_that_is_named_twice_is_refused() -> None:
    assert "named twice" in refusal(CreateTaskRequest, b'{"type":"a","type":"b"}')
    assert "twice" in refusal(CreateTaskRequest, b'{"labels":{"a":"1","a":"2"}}')


@pytest.mark.parametrize(
    "text", [b'{"type":"\\ud800"}', b'{"labels":{"\\ud800":"a"}}', b'{"capabilities":["\\udfff"]}']
)
def test_half_of_a_surrogate_pair_is_no_text(text: bytes) -> None:
    assert "surrogate" in refusal(CreateTaskRequest, text)


@pytest.mark.parametrize("status", ["DONE", "STATUS_UNSPECIFIED", "", 0, 99, True, None])
def test_a_status_that_is_none_is_answered_with_those_that_are(status: Any) -> None:
    if status is None:
        assert decoded(TaskUpdate, {"status": None}) == TaskUpdate()
        return
    allowed = "one of PENDING, PROCESSING, COMPLETED, FAILED, TIMEOUT, CANCELLED"
    assert refusal(TaskUpdate, {"status": status}).startswith(f"status: expected {allowed}, got")


def test_a_status_in_lower_case_is_answered_with_a_hint() -> None:
    message = refusal(TaskUpdate, {"status": "completed"})
    assert message.endswith('CANCELLED (in upper case), got "completed"')


def test_an_enum_is_taken_by_number() -> None:
    assert decoded(TaskUpdate, {"status": 3}).status == Task.COMPLETED


@pytest.mark.parametrize("status", ["active", "ACTIVE", 1])
def test_the_status_of_a_server_is_taken_in_either_case(status: Any) -> None:
    assert decoded(Server, {"status": status}).status == Server.ACTIVE


def test_messages_inside_messages_are_taken() -> None:
    request = decoded(HeartbeatRequest, {"load": {"cpu": 45, "activeTasks": 3}})
    assert (request.load.cpu, request.load.active_tasks) == (45.0, 3)
    assert "load.cpu: expected a number" in refusal(HeartbeatRequest, {"load": {"cpu": "hot"}})


def test_lists_of_messages_are_taken() -> None:
    page = decoded(ListServersResponse, {"servers": [{"id": "srv_1"}, {"id": "srv_2"}]})
    assert [server.id for server in page.servers] == ["srv_1", "srv_2"]
    wrong = {"servers": [{}, {"active": "many"}]}
    assert refusal(ListServersResponse, wrong).startswith("servers[1].active: expected an integer")


def test_other_well_known_types_follow_canonical_json() -> None:
    assert decoded(RetryInfo, {"retryDelay": "3s"}).retry_delay.seconds == 3
    assert refusal(RetryInfo, {"retryDelay": "soon"}).startswith("retryDelay: ")


def test_metadata_is_taken_as_it_is() -> None:
    metadata = {"gpu": "A100", "vram": "80GB", "slots": [1, 2]}
    assert decoded(RegisterServerRequest, {"metadata": metadata}).metadata["gpu"] == "A100"


def test_a_query_is_text() -> None:
    listing = ListTasksRequest()
    setters = query_setters(ListTasksRequest.DESCRIPTOR)
    for name, text in {"status": "failed", "pageSize": "7", "server_id": "srv_1"}.items():
        setters[name](listing, text)
    assert listing == ListTasksRequest(status=Task.FAILED, page_size=7, server_id="srv_1")
    reading = GetTaskRequest()
    query_setters(GetTaskRequest.DESCRIPTOR)["wait"](reading, "2.5")
    assert reading.wait_seconds == 2.5


def test_a_query_has_booleans_and_repeats_itself() -> None:
    request = CreateTaskRequest()
    setters = query_setters(CreateTaskRequest.DESCRIPTOR)
    for name, text in [("capabilities", "a"), ("capabilities", "b"), ("idempotent", "true")]:
        setters[name](request, text)
    assert request == CreateTaskRequest(capabilities=["a", "b"], idempotent=True)
    with pytest.raises(FieldError):
        setters["async"](request, "yes")
    assert "payload" not in setters


def test_a_field_that_json_has_no_form_for_is_found_at_once() -> None:
    with pytest.raises(TypeError, match=r"HttpRequest\.body"):
        decoder(HttpRequest.DESCRIPTOR)
