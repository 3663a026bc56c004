from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel

from inferry.client import InvalidRequest, Options, Server, Status, TaskState
from inferry.client.batching import BATCH_BYTES, BATCH_TASKS, batches
from inferry.client.fitting import fit
from inferry.client.payloads import payload_text, text_of, value_of
from inferry.client.reading import read
from inferry.client.requests import new_request
from inferry.v1 import server_pb2, task_pb2
from inferry.v1.task_service_pb2 import CreateTaskRequest


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float = 0.5


@dataclass
class Shape:
    points: list[Point]
    colour: Colour | None = None
    at: datetime | None = None
    tags: dict[str, int] = field(default_factory=dict)
    kind: Literal["open", "closed"] = "open"


class Model(BaseModel):
    n: int
    at: date | None = None


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"b": 1, "a": [True, None, 1.5]}, '{"b":1,"a":[true,null,1.5]}'),
        ({"n": 2**200}, f'{{"n":{2**200}}}'),
        ({"text": "é\u2028"}, '{"text":"é\u2028"}'),
        ({"half": "\ud800"}, '{"half":"\\ud800"}'),
        (Point(1), '{"x":1,"y":0.5}'),
        (Model(n=1, at=date(2026, 1, 2)), '{"n":1,"at":"2026-01-02"}'),
        (MappingProxyType({"m": MappingProxyType({})}), '{"m":{}}'),
        ({"c": Colour.RED, "u": UUID(int=0)}, None),
        (b'{"as": 1.50}', '{"as": 1.50}'),
    ],
)
def test_payloads_are_written_as_json(payload: Any, text: str | None) -> None:
    right = '{"c":"red","u":"00000000-0000-0000-0000-000000000000"}' if text is None else text
    assert payload_text(payload).decode() == right


@pytest.mark.parametrize("payload", ["{}", 1, [1], None, Point])
def test_what_is_no_object_is_no_payload(payload: Any) -> None:
    with pytest.raises(TypeError, match=r"^a payload is a mapping, .* got "):
        payload_text(payload)


def test_what_json_has_no_word_for_is_refused_and_never_null() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        payload_text({"n": float("nan")})
    with pytest.raises(TypeError, match="JSON has nothing for"):
        text_of({"o": object()})


def test_integers_come_back_as_they_went() -> None:
    assert value_of(text_of([2**64, -(2**100)])) == [2**64, -(2**100)]
    assert value_of(b"") is None


def test_a_typed_result_is_made_of_its_json() -> None:
    given = {
        "points": [{"x": 1, "y": 2}, {"x": 3, "unknown": 4}],
        "colour": "red",
        "at": "2026-01-02T03:04:05+00:00",
        "tags": {"a": 1},
        "kind": "closed",
    }
    assert fit(Shape, given) == Shape(
        [Point(1, 2.0), Point(3)],
        Colour.RED,
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        {"a": 1},
        "closed",
    )
    assert fit(Model, {"n": "4"}) == Model(n=4)
    assert fit(tuple[int, str], [1, "a"]) == (1, "a")
    assert fit(set[int], [1, 1]) == {1}
    assert fit(dict[str, float], {"a": 1}) == {"a": 1.0}
    assert fit(dict, {"any": []}) == {"any": []}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Shape, {"points": [{"x": "1"}]}, r"^points\[0\]\.x: expected int, got '1'$"),
        (Shape, [], r"^it: expected an object for Shape, got \[\]$"),
        (int, True, "expected int, got True"),
        (bool, 1, "expected bool"),
        (int | None, "a", "expected int, got 'a'; it: expected NoneType"),
        (list[int], {}, "expected list"),
        (Colour, "blue", "'blue' is not a valid Colour"),
        (Model, {}, "Field required"),
    ],
)
def test_a_result_that_does_not_fit_says_where(kind: Any, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fit(kind, value)


def test_a_missing_member_is_named() -> None:
    with pytest.raises(TypeError, match="'x'"):
        fit(Point, {"y": 1})


def test_options_become_the_fields_of_a_request() -> None:
    at = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    options: Options = {
        "attempt_timeout": 0.0001,
        "queue_timeout": 0.07,
        "silence_timeout": 0,
        "not_before": at,
        "labels": {"a": "b"},
        "capabilities": ["gpu"],
        "priority": 3,
        "idempotent": True,
        "request_id": "mine",
    }
    request = new_request("resize", None, options)
    assert (request.timeout_ms, request.queue_timeout_ms, request.silence_timeout_ms) == (1, 70, 0)
    assert request.HasField("silence_timeout_ms")
    assert not request.HasField("total_timeout_ms")
    assert request.not_before.ToDatetime(UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert dict(request.labels) == {"a": "b"}
    assert (list(request.capabilities), request.priority) == (["gpu"], 3)
    assert (request.idempotent, request.request_id) == (True, "mine")
    assert request.payload_json == b"{}"


def test_each_creation_has_a_key_of_its_own() -> None:
    keys = {new_request("resize", {}, {}).request_id for _ in range(10)}
    assert len(keys) == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delay", -1),
        ("attempt_timeout", 3_000_000),
        ("total_timeout", float("nan")),
        ("priority", 2**40),
        ("not_before", datetime(2026, 1, 1)),  # noqa: DTZ001 - that is what is wrong
    ],
)
def test_an_option_out_of_its_bounds_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{name}: "):
        new_request("resize", {}, {name: value})


def test_an_unknown_option_is_refused_with_the_right_ones() -> None:
    with pytest.raises(TypeError, match=r"no option 'timeout_ms'; right are attempt_timeout, "):
        new_request("resize", {}, {"timeout_ms": 1})


def test_records_have_the_values_of_their_messages() -> None:
    message = task_pb2.Task(
        id="task_1",
        status=task_pb2.Task.COMPLETED,
        result_json=b'{"n": 18446744073709551617}',
        timeout_ms=1_500,
        labels={"a": "b"},
        created_at=Timestamp(seconds=1),
    )
    state = read(TaskState, message)
    assert (state.status, state.status.final) == (Status.COMPLETED, True)
    assert state.result == {"n": 2**64 + 1}
    assert (state.timeout, state.labels) == (1.5, {"a": "b"})
    assert state.created_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (state.finished_at, state.queue_position, state.payload) == (None, None, None)


def test_a_status_that_is_newer_than_the_client_is_unknown() -> None:
    message = task_pb2.Task()
    message.MergeFromString(b"\x18\x63")  # field 3, status, 99
    assert read(TaskState, message).status is Status.UNKNOWN


def test_servers_are_read_with_load_and_metadata() -> None:
    message = server_pb2.Server(
        name="gpu",
        status=server_pb2.Server.ACTIVE,
        load=server_pb2.Load(cpu=1.5),
        capabilities=["a"],
        worker_idle_with_backlog_ms=2_000,
    )
    message.metadata.update({"rack": 7})
    server = read(Server, message)
    assert (server.status, server.metadata, server.capabilities) == ("ACTIVE", {"rack": 7}, ("a",))
    assert server.load is not None
    assert (server.load.cpu, server.worker_idle_with_backlog) == (1.5, 2.0)


def test_batches_are_bounded_by_count_and_by_bytes() -> None:
    small = [CreateTaskRequest(type="a")] * (BATCH_TASKS + 1)
    assert [len(batch) for batch in batches(small)] == [BATCH_TASKS, 1]
    half = CreateTaskRequest(payload_json=b"x" * (BATCH_BYTES // 2))
    vast = CreateTaskRequest(payload_json=b"x" * BATCH_BYTES)
    assert list(batches([half, half, vast, half])) == [[0], [1], [2], [3]]
    assert list(batches([])) == []
