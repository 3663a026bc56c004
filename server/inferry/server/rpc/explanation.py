"""Explanations of tasks, as messages."""

from inferry.server.engine.explain import Surroundings, explain
from inferry.server.engine.ledger import Ledger
from inferry.server.rpc.convert import timestamp
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb


def explanation_of(record: TaskRecord, ledger: Ledger, now_ms: int) -> pb.ExplainTaskResponse:
    """Explains a task as things are now."""
    route = route_of(record.spec.type, record.spec.capabilities)
    judged = [] if record.status.final else ledger.fleet.verdicts(route, now_ms)
    place = ledger.place_of(record)
    pause = ledger.backlog.pause_of(record.spec.type)
    around = Surroundings(
        now_ms=now_ms,
        verdicts=[verdict for _, verdict in judged],
        pause_reason=None if pause is None else pause.reason,
        position=None if place is None else place.position,
    )
    found = explain(record, around)
    return pb.ExplainTaskResponse(
        id=record.spec.id,
        status=task_pb2.Task.Status.ValueType(record.status),
        reason=pb.ExplainTaskResponse.Reason.ValueType(found.reason),
        text=found.text,
        remedy=found.remedy,
        queue_position=None if place is None else place.position,
        estimated_start_at=None if place is None else timestamp(place.starts_ms),
        servers=[
            pb.ServerVerdict(
                server_id=server.id,
                name=server.name,
                rule=pb.ServerVerdict.Rule.ValueType(verdict.rule),
                text=verdict.text,
                remedy=verdict.remedy,
                until=timestamp(verdict.until_ms),
            )
            for server, verdict in judged
        ],
    )
