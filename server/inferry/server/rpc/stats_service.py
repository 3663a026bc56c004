"""StatsService: from messages to figures and back."""

from itertools import product
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from inferry.server.clock import Clock
from inferry.server.engine.figures.failures import Group, failures_of
from inferry.server.engine.figures.view import Chart, FiguresView
from inferry.server.errors import InvalidPayloadError
from inferry.server.figures.buckets import Histogram, quantile
from inferry.server.figures.cell import ALL
from inferry.server.rpc.convert import timestamp
from inferry.server.store import Store
from inferry.v1 import stats_service_pb2 as pb
from inferry.v1 import stats_service_pb2_grpc

_USUAL_S = 3_600
_DAY_S = 86_400
#: Where nothing is known.
_UNKNOWN = -1

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


class StatsServicer(stats_service_pb2_grpc.StatsServiceServicer):
    """Shows what happened over time."""

    def __init__(self, figures: FiguresView, store: Store, clock: Clock) -> None:
        self._figures = figures
        self._store = store
        self._clock = clock

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        """Shows figures of tasks, in columns."""
        from_s, to_s = span_of(request, self._clock, _USUAL_S)
        return _to_proto(await self._figures.chart(request.type or ALL, from_s, to_s, request.step))

    async def ListFailures(
        self, request: pb.ListFailuresRequest, context: Context
    ) -> pb.ListFailuresResponse:
        """Groups failures by what they have in common."""
        from_s, to_s = span_of(request, self._clock, _DAY_S)
        # Nothing has ended after now.
        to_s = max(from_s + 1, min(to_s, self._clock.now_ms() // 1_000 + 1))
        found = await failures_of(self._store, request.type or ALL, from_s, to_s)
        return pb.ListFailuresResponse(
            from_time=Timestamp(seconds=found.from_s),
            step=found.step_s,
            groups=[_group_to_proto(group) for group in found.groups],
            more=found.more,
        )


def span_of(request: Any, clock: Clock, usual_s: int) -> tuple[int, int]:
    """Reads a span of time: from the second of ``from`` to that after ``to``.

    Nothing is known of what was before 1970, which stands for all that.

    Raises:
        InvalidPayloadError: It ends before it begins.
    """
    now_s = clock.now_ms() // 1_000
    to_s = (request.to_time.seconds if request.HasField("to_time") else now_s) + 1
    from_s = request.from_time.seconds if request.HasField("from_time") else to_s - usual_s
    if from_s >= to_s:
        raise InvalidPayloadError("to: it has to be later than from")
    first_s = max(from_s, 0)
    return first_s, max(to_s, first_s + 1)


def _to_proto(chart: Chart) -> pb.GetStatsResponse:
    columns: dict[str, Any] = {
        name: [_UNKNOWN if cell is None else getattr(cell, name) for cell in chart.columns]
        for name in ("created", "completed", "failed", "cancelled")
    }
    for name in ("waiting", "running"):
        columns[name] = [
            getattr(cell, name) if cell is not None and cell.sampled_s else _UNKNOWN
            for cell in chart.columns
        ]
    for name, percent in product(("wait", "run"), (50, 95, 99)):
        columns[f"{name}_p{percent}_ms"] = [
            _UNKNOWN if cell is None else _quantile(getattr(cell, f"{name}s"), percent / 100)
            for cell in chart.columns
        ]
    return pb.GetStatsResponse(
        from_time=Timestamp(seconds=chart.from_s),
        step=chart.step_s,
        types=chart.types,
        **columns,
    )


def _group_to_proto(group: Group) -> pb.FailureGroup:
    return pb.FailureGroup(
        type=group.type,
        code=group.code,
        message=group.message,
        count=group.count,
        first_seen=timestamp(group.first_ms),
        last_seen=timestamp(group.last_ms),
        sample_task_id=group.sample,
        fingerprint=group.fingerprint,
        counts=group.counts,
    )


def _quantile(histogram: Histogram, share: float) -> float:
    return round(quantile(histogram, share), 1) if histogram else _UNKNOWN
