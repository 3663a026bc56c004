"""What the gateway counts and traces, and who tells it, from the settings."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from inferry.server.clock import Clock
from inferry.server.config import Config
from inferry.server.engine.committer import Note
from inferry.server.engine.span_tally import SpanTally
from inferry.server.engine.tally import MeterTally, Tallies, Tally
from inferry.server.engine.tracing import Tracing
from inferry.server.fleet.fleet import Fleet
from inferry.server.store import StoreError
from inferry.server.telemetry.collector import CollectorError
from inferry.server.telemetry.meters import Meters
from inferry.server.telemetry.spans import SpanSink

#: How long the last spans may take to be sent.
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is counted with, and where spans go."""

    #: None if nothing is counted.
    meters: Meters | None
    #: None if no spans are made.
    spans: SpanSink | None
    tracing: Tracing

    @property
    def commit_note(self) -> Note | None:
        """What counts transactions."""
        if self.meters is None:
            return None
        commit, operations = self.meters.commit, self.meters.commit_operations

        def note(count: int, took_s: float) -> None:
            commit.note((), took_s)
            operations.note((), count)

        return note

    async def close(self) -> None:
        """Sends the spans that are left, for some seconds at most."""
        if self.spans is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self.spans.close()


def new_telemetry(config: Config) -> Telemetry:
    """Makes what the settings ask for.

    Raises:
        StoreError: What sends spans is not installed, or cannot do what it is asked for.
    """
    meters = Meters(config.metrics_types, config.metrics_tenants) if config.metrics else None
    spans = _spans() if config.traces else None
    return Telemetry(meters, spans, Tracing(None if spans is None else spans.sample))


def new_tallies(
    telemetry: Telemetry, fleet: Fleet, clock: Clock
) -> tuple[Tally | None, MeterTally | None]:
    """Makes who hears of commits, and who of them counts."""
    meters, spans = telemetry.meters, telemetry.spans
    counting = None if meters is None else MeterTally(meters, fleet)
    tracing = None if spans is None else SpanTally(spans, clock)
    both = [one for one in (counting, tracing) if one is not None]
    return (Tallies(both) if len(both) > 1 else next(iter(both), None)), counting


def _spans() -> SpanSink:
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.proto") is None:
        raise StoreError("traces need OpenTelemetry: pip install 'inferry[otel]'")
    # Only now: whoever makes no spans needs none of it.
    make = import_module("inferry.server.telemetry.otel").OtlpSpans
    try:
        sink: SpanSink = make()
    except CollectorError as error:
        raise StoreError(str(error)) from None
    return sink
