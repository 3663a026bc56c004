"""The rules that stand in the protos, as every door checks them."""

import re
from base64 import b64encode
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.bridge.services import services
from inferry.client import batching
from inferry.server.task.lifecycle import RETRYABLE
from inferry.server.webhooks.secrets import BadSecretError, key_of
from inferry.v1.access_service_pb2 import ExchangeCodeRequest
from inferry.v1.queue_service_pb2 import PauseTypeRequest
from inferry.v1.server_service_pb2 import (
    DeregisterServerRequest,
    ListServersRequest,
    RegisterServerRequest,
)
from inferry.v1.stats_service_pb2 import GetStatsRequest
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CancelTaskRequest,
    CancelTasksRequest,
    CountTasksRequest,
    CreateTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    RetryTasksRequest,
    WatchTaskRequest,
    WatchTasksRequest,
)
from inferry.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    GetWebhookRequest,
    RedeliverRequest,
    ReplayWebhookRequest,
    RotateWebhookSecretRequest,
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


def hook(**fields: Any) -> CreateWebhookRequest:
    return CreateWebhookRequest(**{"url": "https://a", **fields})


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
        GetStatsRequest(from_time=Timestamp(seconds=-62_135_596_800), type="other", step=86_400),
        CountTasksRequest(finished_since=Timestamp(seconds=253_402_300_799, nanos=999_999_999)),
        hook(events=["completed", "started"], secret=f"whsec_{'A' * 32}"),
        hook(secret=f"whsec_{'A' * 86}==", types=["a"] * 32),
        RedeliverRequest(id="x", seq=2**63 - 1),
        RotateWebhookSecretRequest(id="x", overlap_ms=0),
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
        (
            CancelTasksRequest(),
            "say which: type, serverId, labels, status, tenant or createdSince is missing",
        ),
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
        (CreateWebhookRequest(), "url: missing; right is http:// or https:// and a host"),
        (hook(url="https://" + "x" * 2_041), "url: 2049 characters; the limit is 2048"),
        (hook(events=["ended"]), "events: 'ended'; right is started, progress or completed"),
        (hook(events=["started"] * 4), "events: 4; right is 0 to 3"),
        (GetWebhookRequest(), "id: missing"),
        (
            RotateWebhookSecretRequest(id="x", overlap_ms=7 * DAY_MS + 1),
            f"overlap: {7 * DAY_MS + 1}; right is 0 to {7 * DAY_MS}",
        ),
        (ReplayWebhookRequest(id="x"), "since: missing; right is a time"),
        (RedeliverRequest(id="x"), "seq: missing; right is an event's number"),
        (RedeliverRequest(id="x", seq=-1), "seq: -1; right is an event's number"),
        (ExchangeCodeRequest(), "code: missing"),
        (ExchangeCodeRequest(code="s" * 65), "code: 65 characters; the limit is 64"),
        (GetStatsRequest(step=86_401), "step: 86401; right is 0 to 86400"),
        (
            ListTasksRequest(fingerprint="0" * 15),
            f"fingerprint: {'0' * 15!r}; right is 16 hexadecimal digits",
        ),
    ],
)
def test_what_breaks_a_rule_is_told_what_came_and_what_is_right(
    message: Message, error: str
) -> None:
    with pytest.raises(FieldError) as caught:
        check(message)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    "secret",
    ["hush" * 20, "whsec_", f"whsec_{'A' * 31}", f"whsec_{'A' * 87}=", f"whsec_{'A' * 88}"],
)
def test_a_secret_that_is_none_is_not_shown(secret: str) -> None:
    with pytest.raises(FieldError) as caught:
        check(hook(secret=secret))
    assert str(caught.value) == "secret: right is whsec_ and base64 of 24 to 64 bytes"


@pytest.mark.parametrize("size", range(20, 70))
def test_what_a_secret_is_stands_beside_it_as_who_signs_reads_it(size: int) -> None:
    text = f"whsec_{b64encode(b'x' * size).decode()}"
    if 24 <= size <= 64:
        check(hook(secret=text))
        assert key_of(text) == b"x" * size
        return
    with pytest.raises(FieldError):
        check(hook(secret=text))
    with pytest.raises(BadSecretError):
        key_of(text)


@pytest.mark.parametrize(
    "time",
    [
        Timestamp(seconds=2**63 - 1),
        Timestamp(seconds=-(2**63)),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=-62_135_596_801),
        Timestamp(nanos=-1),
        Timestamp(nanos=1_000_000_000),
    ],
)
def test_a_time_that_no_calendar_has_is_none_in_any_request(time: Timestamp) -> None:
    times = [field for field in fields() if field.message_type is Timestamp.DESCRIPTOR]
    assert {field.json_name for field in times} >= {"notBefore", "from", "createdSince", "since"}
    for field in times:
        assert field.containing_type is not None
        message = whole(field.containing_type, {field.name: time})
        with pytest.raises(FieldError, match=f"^{field.json_name}: .*right is a time of the years"):
            check(message)


def whole(descriptor: Descriptor, said: dict[str, Any]) -> Message:
    """Makes a request that says what it has to, and more."""
    required = {
        field.name: "x"
        for field in descriptor.fields
        if rules_of(field).required and field.type == FieldDescriptor.TYPE_STRING
    }
    return GetMessageClass(descriptor)(**required, **said)


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
