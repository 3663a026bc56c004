"""The rules that stand in the protos, as every door checks them."""

import re
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.bridge.services import services
from inferry.client import batching
from inferry.server.task.lifecycle import RETRYABLE
from inferry.v1.queue_service_pb2 import PauseTypeRequest
from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    ListServersRequest,
    RegisterServerRequest,
)
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CancelTaskRequest,
    CancelTasksRequest,
    CreateTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    RetryTasksRequest,
    WatchTaskRequest,
    WatchTasksRequest,
)
from inferry.v1.worker_pb2 import WorkerHello
from inferry.wire import limits
from inferry.wire.checks import check, rules_between, rules_of
from inferry.wire.errors import FieldError

NAME = "1 to 128 letters, digits, '.', '_', ':', '/' and '-', the first a letter or digit"
PLAIN = "1 to 128 characters, none of them a control character"
LABEL = "keys have 1 to 63 characters, values at most 255"
DAY_MS = 86_400_000


def create(**fields: Any) -> CreateTaskRequest:
    return CreateTaskRequest(**{"type": "echo", **fields})


def hello(**fields: Any) -> WorkerHello:
    return WorkerHello(**{"name": "w", **fields})


@pytest.mark.parametrize(
    "message",
    [
        create(),
        create(priority=9, timeout_ms=1, silence_timeout_ms=0, total_timeout_ms=7 * DAY_MS),
        create(max_attempts=100, result_ttl_ms=2**31 - 1, delay_ms=DAY_MS),
        create(capabilities=["a" * 128] * 32, labels={"k" * 63: "v" * 255}),
        create(request_id="!" * 255, payload=Struct()),
        create(not_before=Timestamp(seconds=1)),
        # Nothing is said: the default holds.
        ListTasksRequest(page_size=0, page_token="", type=""),
        ListTasksRequest(page_size=500, page_token="7fffffffffffffff"),
        RetryTasksRequest(status=Task.TIMEOUT, limit=1_000),
        CancelTasksRequest(labels={"a": "b"}),
        CancelTasksRequest(status=Task.PROCESSING),
        GetTaskRequest(id="x", wait_seconds=0.5),
        DeregisterServerRequest(id="x", grace_ms=0),
        RegisterServerRequest(url="http://a", name="é" * 128),
        hello(features=["f"] * 64),
        # Requests in a batch are for whoever reads them: one that is wrong costs no other.
        BatchCreateTasksRequest(requests=[CreateTaskRequest()]),
    ],
)
def test_what_keeps_the_rules_is_right(message: Message) -> None:
    check(message)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (CreateTaskRequest(), f"type: missing; right is {NAME}"),
        (create(type="a b"), f"type: 'a b'; right is {NAME}"),
        (create(type="a\n"), f"type: 'a\\n'; right is {NAME}"),
        (create(type=" " * 999), f"type: '{' ' * 128}'; right is {NAME}"),
        (create(priority=10), "priority: 10; right is 0 to 9"),
        (create(priority=-1), "priority: -1; right is 0 to 9"),
        (create(timeout_ms=0), f"timeout: 0; right is 1 to {DAY_MS}"),
        (create(delay_ms=-1), f"delayMs: -1; right is 0 to {DAY_MS}"),
        (create(capabilities=["ok", ""]), f"capabilities: missing; right is {NAME}"),
        (create(capabilities=["c"] * 33), "capabilities: 33; right is 0 to 32"),
        (create(labels={"": "x"}), f"labels: ''; {LABEL}"),
        (create(labels={"k" * 64: "x"}), f"labels: '{'k' * 63}'; {LABEL}"),
        (create(labels={"k": "v" * 256}), f"labels: 'k'; {LABEL}"),
        (create(labels={str(n): "" for n in range(33)}), "labels: 33; right is 0 to 32"),
        (
            create(request_id="é"),
            (
                "requestId: 'é'; right is 1 to 255 printable ASCII characters without spaces, "
                "at best a UUID"
            ),
        ),
        (
            create(delay_ms=0, not_before=Timestamp()),
            "delayMs and notBefore exclude each other",
        ),
        (BatchCreateTasksRequest(), "requests: 0; right is 1 to 1000"),
        (
            BatchCreateTasksRequest(requests=[create()] * 1_001),
            "requests: 1001; right is 1 to 1000",
        ),
        (GetTaskRequest(), "id: missing"),
        (GetTaskRequest(id="x", wait_seconds=60.5), "wait: 60.5; right is 0 to 60 seconds"),
        (
            GetTaskRequest(id="x", wait_seconds=float("nan")),
            "wait: nan; right is 0 to 60 seconds",
        ),
        (ListTasksRequest(page_size=501), "pageSize: 501; right is 1 to 500"),
        (ListServersRequest(page_size=-1), "pageSize: -1; right is 1 to 500"),
        (ListTasksRequest(page_token="x"), "pageToken: 'x'; right is one that a list returned"),
        (
            ListTasksRequest(page_token="8" + "0" * 15),
            "pageToken: '8000000000000000'; right is one that a list returned",
        ),
        (ListTasksRequest(labels=dict.fromkeys("abcdefghi", "")), "labels: 9; right is 0 to 8"),
        (WatchTaskRequest(id="x", after_seq=-1), "after: -1; right is 0 or an event's number"),
        (WatchTasksRequest(ids=["x"] * 10_001), "ids: 10001; right is 0 to 10000"),
        (
            CancelTaskRequest(id="x", reason="é" * 4_097),
            "reason: 4097 characters; the limit is 4096",
        ),
        (PauseTypeRequest(type="a", reason="x" * 256), "reason: 256 characters; the limit is 255"),
        (CancelTasksRequest(), "say which: type, serverId, labels or status is missing"),
        (CancelTasksRequest(status=Task.FAILED), "status: FAILED; one of PENDING, PROCESSING"),
        (RetryTasksRequest(limit=1_001), "limit: 1001; right is 1 to 1000"),
        (
            RetryTasksRequest(status=Task.PENDING),
            "status: PENDING; one of FAILED, TIMEOUT, CANCELLED",
        ),
        (
            RegisterServerRequest(name="a"),
            "url: missing; right is an http or https URL without query and fragment",
        ),
        (RegisterServerRequest(url="http://a"), f"name: missing; right is {PLAIN}"),
        (hello(name="a\u202eb"), f"name: 'a\\u202eb'; right is {PLAIN}"),
        (hello(max_concurrent=0), "maxConcurrent: 0; right is 1 to 10000"),
        (hello(features=["f"] * 65), "features: 65; right is 0 to 64"),
        (
            DeregisterServerRequest(id="x", grace_ms=600_001),
            "grace: 600001; right is 0 to 600000 ms",
        ),
    ],
)
def test_what_breaks_a_rule_is_told_what_came_and_what_is_right(
    message: Message, error: str
) -> None:
    with pytest.raises(FieldError) as caught:
        check(message)
    assert str(caught.value) == error


def fields() -> list[FieldDescriptor]:
    requests = [
        method.input_type for service in services() for method in service.descriptor.methods
    ]
    return [field for request in requests for field in request.fields]


def test_every_rule_is_for_a_field_of_its_kind_and_can_be_read() -> None:
    for field in fields():
        ruled = rules_of(field)
        for texts in (ruled, ruled.items, ruled.keys):
            re.compile(texts.pattern)
        numbers = ruled.HasField("minimum") or ruled.HasField("maximum")
        assert not numbers or field.cpp_type in {
            FieldDescriptor.CPPTYPE_INT32,
            FieldDescriptor.CPPTYPE_INT64,
            FieldDescriptor.CPPTYPE_DOUBLE,
        }
        assert not ruled.max_items or field.is_repeated, field.full_name
        assert not ruled.among or field.enum_type is not None, field.full_name
        assert set(ruled.among) <= set(field.enum_type.values_by_name if field.enum_type else ())


def test_who_sends_batches_knows_how_many_one_takes() -> None:
    taken = rules_of(BatchCreateTasksRequest.DESCRIPTOR.fields_by_name["requests"]).max_items
    assert taken == limits.BATCH_TASKS == batching.BATCH_TASKS


def test_what_can_be_started_again_is_what_the_life_of_a_task_has() -> None:
    field = RetryTasksRequest.DESCRIPTOR.fields_by_name["status"]
    assert set(rules_of(field).among) == {status.name for status in RETRYABLE}


def test_rules_between_fields_name_fields_that_there_are() -> None:
    for service in services():
        for method in service.descriptor.methods:
            ruled = rules_between(method.input_type)
            named = {*ruled.at_most_one, *ruled.at_least_one}
            assert named <= set(method.input_type.fields_by_name)


def test_fields_of_one_name_have_one_rule_for_what_their_texts_are_made_of() -> None:
    made_of: dict[str, set[str]] = {}
    for field in fields():
        ruled = rules_of(field)
        for pattern in (ruled.pattern, ruled.items.pattern):
            if pattern:
                made_of.setdefault(field.name, set()).add(pattern)
    assert all(len(patterns) == 1 for patterns in made_of.values()), made_of
