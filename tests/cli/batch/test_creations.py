from collections.abc import Iterable

import pytest

from inferry.cli.batch.creations import Creation, Pattern, batches
from inferry.cli.batch.lines import Line
from inferry.v1.task_service_pb2 import BatchCreateTasksRequest, CreateTaskRequest
from inferry.wire.limits import BATCH_BYTES, BATCH_TASKS

PAYLOADS = Pattern(CreateTaskRequest(type="t", priority=5, asynchronous=True), "run", whole=False)


def cut(
    given: Iterable[Line | None], pattern: Pattern = PAYLOADS
) -> tuple[list[list[Creation]], dict[int, str]]:
    refused: dict[int, str] = {}
    return list(batches(given, pattern, refused.__setitem__)), refused


def test_a_line_is_a_payload_as_it_came_and_has_a_request_id_of_its_own() -> None:
    text = b'{"n": 9223372036854775808, "b": 1e400}'
    ((creation,),), _ = cut([Line(7, text)])
    assert creation == Creation(
        7,
        CreateTaskRequest(
            type="t", priority=5, asynchronous=True, payload_json=text, request_id="run-7"
        ),
    )


def test_a_line_may_be_a_whole_request_and_goes_before_what_is_said_of_all() -> None:
    common = CreateTaskRequest(
        priority=5,
        idempotent=True,
        payload_json=b"{}",
        labels={"a": "1", "b": "1"},
        capabilities=["gpu"],
    )
    text = (
        b'{"type": "t", "payload": {"x":  1}, "priority": 0, "timeout": 90, "idempotent": false,'
        b' "labels": {"b": "2"}, "capabilities": ["big"], "requestId": "mine"}'
    )
    whole = Pattern(common, "run", whole=True)
    ((own, bare),), refused = cut([Line(1, text), Line(2, b'{"type": "u"}')], whole)
    assert refused == {}
    assert own.request == CreateTaskRequest(
        type="t",
        payload_json=b'{"x":  1}',
        timeout_ms=90,
        labels={"a": "1", "b": "2"},
        capabilities=["gpu", "big"],
        request_id="mine",
    )
    assert (bare.request.type, bare.request.priority) == ("u", 5)
    assert (bare.request.payload_json, bare.request.request_id) == (b"{}", "run-2")


@pytest.mark.parametrize(
    ("text", "whole", "why"),
    [
        (b"{", False, "no JSON, at position 1"),
        (b"\xff", False, "no JSON, at position 0: this is not UTF-8"),
        (b"[1]", False, "expected a JSON object, got an array"),
        (b'{"a":1,"a":2}', False, "twice"),
        (b"[" * 200, False, "nested deeper than 128 levels"),
        (None, False, "longer than a whole batch"),
        (b'{"type":"t","label":{}}', True, "label: no such field; there are: type, payload,"),
        (b'{"type":"t","priority":"high"}', True, "priority: expected an integer"),
        (b'"t"', True, "expected a JSON object"),
    ],
)
def test_a_line_that_asks_for_no_task_is_refused_with_the_reason_and_costs_no_other(
    text: bytes | None, *, whole: bool, why: str
) -> None:
    good = Line(2, b'{"type": "t"}')
    ((creation,),), refused = cut([Line(1, text), good], Pattern(PAYLOADS.common, "r", whole))
    assert creation.line == 2
    assert list(refused) == [1]
    assert why in refused[1]


def test_no_batch_has_more_tasks_than_a_call_takes() -> None:
    found, _ = cut(Line(number, b"{}") for number in range(2 * BATCH_TASKS + 1))
    assert [len(batch) for batch in found] == [BATCH_TASKS, BATCH_TASKS, 1]


@pytest.mark.parametrize("size", [100, 1_000_000, BATCH_BYTES // 2, BATCH_BYTES - 100])
def test_no_batch_has_more_bytes_than_a_call_takes(size: int) -> None:
    text = b'{"a":"%s"}' % (b"x" * (size - 8))
    found, refused = cut(Line(number, text) for number in range(12))
    assert not refused
    sizes = [
        BatchCreateTasksRequest(requests=(one.request for one in batch)).ByteSize()
        for batch in found
    ]
    assert max(sizes) <= BATCH_BYTES
    # None could have taken one more.
    assert all(size + len(text) > BATCH_BYTES for size in sizes[:-1])


def test_a_task_that_no_batch_can_carry_is_refused() -> None:
    text = b'{"a":"%s"}' % (b"x" * (BATCH_BYTES - 8))
    found, refused = cut([Line(1, text)])
    assert (found, list(refused)) == ([], [1])


def test_lines_that_pause_are_sent_before_the_next_ones_come() -> None:
    def trickle() -> Iterable[Line | None]:
        yield Line(1, b"{}")
        yield None
        yield None
        yield Line(2, b"{}")

    given = batches(trickle(), PAYLOADS, lambda *_: None)
    assert [[creation.line for creation in batch] for batch in given] == [[1], [], [2]]
