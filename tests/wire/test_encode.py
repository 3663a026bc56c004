import orjson
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import Help, RetryInfo

from inferry.v1.server_pb2 import Load, Server
from inferry.v1.server_service_pb2 import DeregisterServerResponse, RegisterServerResponse
from inferry.v1.task_pb2 import Attempt, Task, TaskEvent
from inferry.v1.task_service_pb2 import ListTasksResponse, UpdateTaskResponse
from inferry.wire.encode import encoder
from inferry.wire.scalars import print_timestamp


def printed(message: object) -> object:
    return encoder(message.DESCRIPTOR)(message)  # type: ignore[attr-defined]


def test_a_task_is_printed_for_people() -> None:
    task = Task(
        id="task_1",
        type="a",
        status=Task.PENDING,
        asynchronous=True,
        timeout_ms=300_000,
        labels={"team": "x"},
        capabilities=["gpu"],
    )
    task.created_at.FromMilliseconds(1767225600120)
    assert printed(task) == {
        "id": "task_1",
        "type": "a",
        "status": "PENDING",
        "async": True,
        "timeout": 300_000,
        "queueTimeout": 0,
        "resultTtl": 0,
        "silenceTimeout": 0,
        "totalTimeout": 0,
        "progress": 0,
        "attempt": 0,
        "maxAttempts": 0,
        "priority": 0,
        "idempotent": False,
        "capabilities": ["gpu"],
        "labels": {"team": "x"},
        "createdAt": "2026-01-01T00:00:00.120Z",
    }


def test_empty_lists_and_maps_are_printed() -> None:
    assert printed(ListTasksResponse()) == {"tasks": []}
    task = encoder(Task.DESCRIPTOR)(Task())
    assert (task["labels"], task["capabilities"]) == ({}, [])


def test_a_null_result_is_printed_and_no_result_is_not() -> None:
    task = Task()
    assert "result" not in encoder(Task.DESCRIPTOR)(task)
    task.result.null_value = 0  # type: ignore[assignment]
    assert encoder(Task.DESCRIPTOR)(task)["result"] is None


def test_a_json_text_is_printed_as_it_came_under_the_name_of_its_value() -> None:
    task = Task(payload_json=b'{"z": 1.0,\n"a":1e400}', result_json=b"9223372036854775808")
    plain = encoder(Task.DESCRIPTOR)(task)
    assert not {"payloadJson", "resultJson", "detailsJson", "details"} & plain.keys()
    printed = orjson.dumps({name: plain[name] for name in ("payload", "result")})
    assert printed == b'{"payload":{"z": 1.0,\n"a":1e400},"result":9223372036854775808}'


def test_whole_numbers_have_no_point() -> None:
    assert str(encoder(Task.DESCRIPTOR)(Task(progress=45))["progress"]) == "45"
    assert str(encoder(Task.DESCRIPTOR)(Task(progress=45.5))["progress"]) == "45.5"


def test_a_place_in_the_queue_is_printed_while_there_is_one() -> None:
    task = Task(queue_position=3)
    task.estimated_start_at.FromMilliseconds(1767225600000)
    plain = encoder(Task.DESCRIPTOR)(task)
    assert (plain["queuePosition"], plain["estimatedStartAt"]) == (3, "2026-01-01T00:00:00.000Z")
    assert not {"queuePosition", "estimatedStartAt"} & encoder(Task.DESCRIPTOR)(Task()).keys()


def test_an_event_has_its_number_as_a_number() -> None:
    event = TaskEvent(task_id="task_1", seq=3, kind=TaskEvent.FINISHED, task=Task(id="task_1"))
    plain = encoder(TaskEvent.DESCRIPTOR)(event)
    assert (plain["seq"], plain["kind"], plain["task"]["id"]) == (3, "FINISHED", "task_1")


def test_a_server_has_its_status_in_lower_case() -> None:
    server = Server(id="srv_1", status=Server.DRAINING, load=Load(cpu=45), success_rate=0)
    plain = encoder(Server.DESCRIPTOR)(server)
    assert plain["status"] == "draining"
    assert plain["load"] == {"cpu": 45, "memory": 0, "activeTasks": 0, "queueLength": 0}
    assert plain["successRate"] == 0
    assert "successRate" not in encoder(Server.DESCRIPTOR)(Server())


def test_a_registration_is_answered_as_the_guide_says() -> None:
    answer = RegisterServerResponse(id="srv_abc123", status=Server.ACTIVE)
    assert printed(answer) == {"id": "srv_abc123", "status": "active"}


def test_a_callback_is_answered_with_a_word_of_cancellation_only_when_there_is_one() -> None:
    answer = UpdateTaskResponse(id="task_1", status=Task.PROCESSING)
    answer.updated_at.FromMilliseconds(1767225600000)
    plain = {"id": "task_1", "status": "PROCESSING", "updatedAt": "2026-01-01T00:00:00.000Z"}
    assert printed(answer) == plain
    answer.cancelled = True
    assert printed(answer) == {**plain, "cancelled": True}


def test_a_message_without_fields_is_an_empty_object() -> None:
    assert printed(DeregisterServerResponse()) == {}


def test_a_value_of_an_enum_not_known_here_is_its_number() -> None:
    unknown = Attempt.FromString(b"\x18\x63")
    assert encoder(Attempt.DESCRIPTOR)(unknown)["outcome"] == 99


def test_other_well_known_types_follow_canonical_json() -> None:
    assert printed(RetryInfo(retry_delay=Duration(seconds=3))) == {"retryDelay": "3s"}


def test_lists_of_messages_are_printed() -> None:
    links = [Help.Link(description="a", url="b")]
    assert printed(Help(links=links)) == {"links": [{"description": "a", "url": "b"}]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-62_135_596_800, "0001-01-01T00:00:00.000Z"),
        (-39_696_400_800, "0712-01-27T22:00:00.000Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_a_year_has_four_digits(seconds: int, text: str) -> None:
    assert print_timestamp(Timestamp(seconds=seconds)) == text
