from collections import deque
from dataclasses import replace

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.server.errors import UnfitValueError
from inferry.server.fleet.breaker import Breaker, BreakerState
from inferry.server.fleet.lease import Lease
from inferry.server.fleet.line import Connection
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Health, Load, ServerRecord, ServerStatus, Transport
from inferry.server.fleet.routing import Rule
from inferry.server.rpc.convert import (
    add_values,
    attempt_to_proto,
    event_to_proto,
    gap_to_proto,
    server_to_proto,
    task_to_proto,
    timestamp,
)
from inferry.server.task.record import (
    Attempt,
    AttemptOutcome,
    Event,
    EventKind,
    Outcome,
    Status,
    TaskRecord,
    TaskSpec,
)
from inferry.v1.server_pb2 import Server
from inferry.v1.task_pb2 import JSON_TEXT, STRUCT, Task, TaskEvent
from inferry.v1.task_pb2 import Attempt as AttemptMessage
from inferry.v1.task_service_pb2 import ServerVerdict

SPEC = TaskSpec(
    id="task_1",
    tenant="acme",
    type="video",
    capabilities=("gpu", "vram"),
    labels=b'{"team":"red"}',
    asynchronous=True,
    priority=3,
    timeout_ms=1_000,
    queue_timeout_ms=2_000,
    silence_timeout_ms=5_000,
    total_timeout_ms=60_000,
    result_ttl_ms=3_000,
    max_attempts=4,
    idempotent=True,
    created_ms=1_704_067_200_000,
)
NEW = TaskRecord(
    spec=SPEC,
    status=Status.PENDING,
    seq=1,
    updated_ms=1_704_067_200_000,
    not_before_ms=0,
    total_deadline_ms=1,
    deadline_ms=1,
    queued_ms=1_704_067_200_000,
)
DONE = NEW._replace(
    status=Status.COMPLETED,
    seq=4,
    updated_ms=1_704_067_202_250,
    attempt=2,
    server_id="srv_1",
    started_ms=1_704_067_201_000,
    progress=100.0,
    message="done",
    finished_ms=1_704_067_202_250,
)
SERVER = ServerRecord(
    id="srv_1",
    url="https://inference.example.com",
    name="gpu-1",
    capabilities=frozenset({"video", "image"}),
    max_concurrent=10,
    metadata=b'{"gpu":"A100"}',
    draining=False,
    private_allowed=False,
    created_ms=1_704_067_200_000,
    updated_ms=1_704_067_201_000,
)


def with_values(
    record: TaskRecord, payload: bytes | None = None, outcome: Outcome | None = None
) -> Task:
    task = task_to_proto(record)
    return add_values(task, STRUCT, payload, outcome or Outcome(), largest=100_000)


def test_who_asks_for_text_gets_the_texts_that_were_given() -> None:
    outcome = Outcome(b"[1e400]", b'{"b":1, "a":2}', b"9223372036854775808")
    task = add_values(task_to_proto(DONE), JSON_TEXT, b'{"a":"\\ud800"}', outcome, largest=0)
    assert task.payload_json == b'{"a":"\\ud800"}'
    assert (task.result_json, task.details_json) == (b"[1e400]", b'{"b":1, "a":2}')
    assert task.late_result_json == b"9223372036854775808"
    assert not task.HasField("payload")
    assert not task.HasField("result")


@pytest.mark.parametrize(
    ("payload", "outcome", "reason"),
    [
        (b'{"a":[9223372036854775808]}', Outcome(), r"payload.*beyond \+-2\^53"),
        (None, Outcome(result=b"1e400"), "result: this number is beyond all doubles"),
        (None, Outcome(details=b'{"a":%b}' % (b"[" * 40 + b"]" * 40)), "details.a.*32 levels"),
        (None, Outcome(late_result=b'"%b"' % (b"x" * 100_000)), "has 10.... bytes"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way_out(
    payload: bytes | None, outcome: Outcome, reason: str
) -> None:
    with pytest.raises(UnfitValueError, match=rf"{reason}.*; ask for .*JSON_TEXT") as refused:
        with_values(DONE, payload, outcome)
    assert refused.value.details == {"taskId": DONE.spec.id, "status": "COMPLETED"}


def test_a_new_task_has_nothing_of_an_attempt() -> None:
    task = with_values(NEW, b'{"n":1}')
    assert MessageToDict(task) == {
        "id": "task_1",
        "type": "video",
        "status": "PENDING",
        "payload": {"n": 1.0},
        "async": True,
        "maxAttempts": 4,
        "timeout": 1_000,
        "queueTimeout": 2_000,
        "silenceTimeout": 5_000,
        "totalTimeout": 60_000,
        "resultTtl": 3_000,
        "priority": 3,
        "capabilities": ["gpu", "vram"],
        "labels": {"team": "red"},
        "idempotent": True,
        "tenant": "acme",
        "createdAt": "2024-01-01T00:00:00Z",
        "updatedAt": "2024-01-01T00:00:00Z",
    }


def test_a_final_task_has_its_outcome() -> None:
    task = with_values(DONE, None, Outcome(result=b'["ok"]'))
    assert not task.HasField("payload")
    assert task.result.list_value.values[0].string_value == "ok"
    assert (task.server_id, task.attempt, task.progress, task.message) == (
        "srv_1", 2, 100.0, "done",
    )  # fmt: skip
    assert task.started_at.ToJsonString() == "2024-01-01T00:00:01Z"
    assert task.finished_at.ToJsonString() == "2024-01-01T00:00:02.250Z"


def test_a_null_result_is_a_result() -> None:
    assert with_values(DONE, None, Outcome(result=b"null")).HasField("result")
    assert not with_values(DONE).HasField("result")


def test_details_and_a_late_result_come_along() -> None:
    late = DONE._replace(status=Status.TIMEOUT, error="too late", code="TIMEOUT")
    task = with_values(late, b"{}", Outcome(details=b'{"phase":"attempt"}', late_result=b"7"))
    assert (task.error, task.code, task.status) == ("too late", "TIMEOUT", Task.TIMEOUT)
    assert task.details["phase"] == "attempt"
    assert task.late_result.number_value == 7


@pytest.mark.parametrize("status", Status)
def test_every_status_has_the_same_name_in_the_proto(status: Status) -> None:
    task = task_to_proto(NEW._replace(status=status))
    assert Task.Status.Name(task.status) == status.name


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_every_attempt_outcome_has_the_same_name_in_the_proto(outcome: AttemptOutcome) -> None:
    message = attempt_to_proto(Attempt(1, "srv_1", outcome, "why", 1_000, 0))
    assert AttemptMessage.Outcome.Name(message.outcome) == outcome.name
    assert message.started_at.ToMilliseconds() == 1_000
    assert not message.HasField("ended_at")


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_kind_has_the_same_name_in_the_proto(kind: EventKind) -> None:
    event = Event("task_1", 2, 5_000, kind, Status.PROCESSING, 45.0, "half", 1, "srv_1")
    message = event_to_proto(event, None)
    assert TaskEvent.Kind.Name(message.kind) == kind.name
    assert message == TaskEvent(
        task_id="task_1",
        seq=2,
        kind=message.kind,
        status=Task.PROCESSING,
        progress=45.0,
        message="half",
        attempt=1,
        server_id="srv_1",
        time=Timestamp(seconds=5),
    )


def test_the_last_event_carries_the_task() -> None:
    event = Event("task_1", 4, 5_000, EventKind.FINISHED, Status.COMPLETED, 100.0, "", 1, None)
    task = task_to_proto(DONE)
    message = event_to_proto(event, task)
    assert (message.task, message.server_id) == (task, "")


def test_a_gap_shows_the_task_as_it_is_now() -> None:
    task = task_to_proto(DONE)
    gap = gap_to_proto(17, task)
    assert (gap.kind, gap.seq, gap.task_id, gap.task) == (TaskEvent.GAP, 17, "task_1", task)
    assert (gap.status, gap.attempt, gap.time) == (Task.COMPLETED, 2, task.updated_at)


@pytest.mark.parametrize("status", ServerStatus)
def test_every_server_status_has_the_same_name_in_the_proto(status: ServerStatus) -> None:
    health = Health(ServerStatus.ACTIVE if status is ServerStatus.DRAINING else status)
    draining = status is ServerStatus.DRAINING
    message = server_to_proto(Member(replace(SERVER, draining=draining), health))
    assert Server.Status.Name(message.status) == status.name
    assert not message.HasField("load")
    assert not message.HasField("success_rate")
    assert not message.HasField("last_seen_at")
    assert not message.HasField("retry_at")


@pytest.mark.parametrize("state", BreakerState)
def test_every_state_of_a_breaker_has_the_same_name_in_the_proto(state: BreakerState) -> None:
    message = server_to_proto(Member(SERVER, breaker=Breaker(state)))
    assert Server.Breaker.Name(message.breaker) == state.name


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_of_a_verdict_has_the_same_name_in_the_proto(rule: Rule) -> None:
    assert ServerVerdict.Rule.Name(ServerVerdict.Rule.ValueType(rule)) == rule.name


def test_a_server_shows_its_registration_and_what_is_known_of_it() -> None:
    member = Member(
        SERVER,
        Health(ServerStatus.DEGRADED),
        Breaker(BreakerState.OPEN, until_ms=1_704_067_204_000),
        Load(45, 60, 3, 5),
        holding={("task_1", 1), ("task_2", 1)},
        recent=deque([False]),
        lease=Lease(seen_ms=1_704_067_203_000),
        last_error="refused",
    )
    message = server_to_proto(member)
    assert MessageToDict(message) == {
        "id": "srv_1",
        "url": "https://inference.example.com",
        "name": "gpu-1",
        "capabilities": ["image", "video"],
        "maxConcurrent": 10,
        "metadata": {"gpu": "A100"},
        "status": "DEGRADED",
        "load": {"cpu": 45.0, "memory": 60.0, "activeTasks": 3, "queueLength": 5},
        "active": 2,
        "successRate": 0.0,
        "lastSeenAt": "2024-01-01T00:00:03Z",
        "createdAt": "2024-01-01T00:00:00Z",
        "updatedAt": "2024-01-01T00:00:01Z",
        "lastError": "refused",
        "breaker": "OPEN",
        "retryAt": "2024-01-01T00:00:04Z",
        "transport": "HTTP",
    }


def test_a_worker_shows_its_stream_and_its_credit() -> None:
    record = replace(
        SERVER, url="", transport=Transport.GRPC, tenant="acme", labels=b'{"zone":"a"}'
    )
    member = Member(record)
    assert member.line is not None
    member.line.begin(Connection.STALLED)
    member.line.granted, member.line.idle_ms = 3, 17
    member.renew()
    message = server_to_proto(member)
    shown = (message.connection, message.tenant, message.credit, dict(message.labels))
    assert shown == (Server.STALLED, "acme", 3, {"zone": "a"})
    assert message.worker_idle_with_backlog_ms == 17


def test_no_time_is_no_timestamp() -> None:
    assert timestamp(0) is None
    assert Timestamp(**timestamp(1)) == Timestamp(nanos=1_000_000)
