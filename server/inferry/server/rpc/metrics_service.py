"""MetricsService: the figures of the gateway, as text."""

from collections.abc import Callable
from typing import Any

from inferry.server.engine.standing import Standing
from inferry.server.engine.tally import MeterTally
from inferry.server.errors import NotFoundError
from inferry.server.rpc.call_figures import CallFigures
from inferry.server.telemetry.counts import Reading
from inferry.server.telemetry.meters import Meters
from inferry.server.telemetry.text import print_readings
from inferry.v1 import metrics_service_pb2 as pb
from inferry.v1 import metrics_service_pb2_grpc
from inferry.wire import figures

Context = Any


class MetricsServicer(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Tells what was counted, and how things stand.

    Args:
        meters: What was counted; None if nothing is.
        tally: Knows what may happen and has not yet.
        standing: How things stand.
        build: What runs here: its version, and the kind of its store.
    """

    def __init__(
        self,
        meters: Meters | None,
        tally: MeterTally | None,
        standing: Standing,
        build: tuple[str, str],
    ) -> None:
        self._meters = meters
        self._tally = tally
        self._standing = standing
        self._build = Reading(figures.BUILD, build, 1)
        #: Counts calls; None if nothing is counted.
        self.calls = None if meters is None else CallFigures(meters)
        #: Whether the gateway can do its work.
        self.ready: Callable[[], bool] = bool

    async def GetMetrics(
        self, request: pb.GetMetricsRequest, context: Context
    ) -> pb.GetMetricsResponse:
        """Prints all figures."""
        if self._meters is None or self._tally is None:
            raise NotFoundError("the gateway counts nothing: its setting metrics is off")
        self._tally.know()
        readings = [
            self._build,
            Reading(figures.READY, (), float(self.ready())),
            *await self._standing.read(),
            *self._meters.read(),
        ]
        text, content_type = print_readings(readings, request.accept)
        return pb.GetMetricsResponse(text=text, content_type=content_type)
