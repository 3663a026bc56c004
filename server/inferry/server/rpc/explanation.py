"""Explanations of tasks, as messages."""

from inferry.server.engine.explain import Explained
from inferry.server.rpc.convert import timestamp
from inferry.v1 import task_pb2
from inferry.v1 import task_service_pb2 as pb


def explanation_to_proto(explained: Explained) -> pb.ExplainTaskResponse:
    """Converts an explanation."""
    record, explanation, place = explained.record, explained.explanation, explained.place
    return pb.ExplainTaskResponse(
        id=record.spec.id,
        status=task_pb2.Task.Status.ValueType(record.status),
        reason=pb.ExplainTaskResponse.Reason.ValueType(explanation.reason),
        text=explanation.text,
        remedy=explanation.remedy,
        queue_position=None if place is None else place.position,
        estimated_start_at=None if place is None else timestamp(place.starts_ms),
        queue_position_at_least=None if place is None or place.exact else True,
        servers=[
            pb.ServerVerdict(
                server_id=server.id,
                name=server.name,
                rule=pb.ServerVerdict.Rule.ValueType(verdict.rule),
                text=verdict.text,
                remedy=verdict.remedy,
                until=timestamp(verdict.until_ms),
            )
            for server, verdict in explained.verdicts
        ],
    )
