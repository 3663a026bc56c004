"""The text that a scraper reads, in the form that it asks for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from inferry.server.telemetry.counts import Cells, Reading
from inferry.wire.figures import FIGURES, Figure, Kind


def print_readings(readings: Iterable[Reading], accept: str) -> tuple[bytes, str]:
    """Prints readings; returns the text and its media type.

    Args:
        readings: What is to be told.
        accept: As an ``Accept`` header has it: OpenMetrics if that is named, else Prometheus' text.
    """
    encode, content_type = choose_encoder(accept)
    # Made for this text alone: what others may have put into the library's own is not ours to tell.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(readings))
    return encode(registry), content_type


class _Readings(Collector):
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._found: defaultdict[str, list[Reading]] = defaultdict(list)
        for reading in readings:
            self._found[reading.figure.name].append(reading)

    def collect(self) -> Iterator[Metric]:
        for figure in FIGURES:
            found = self._found[figure.name]
            if found:
                yield _family(figure, found)


def _family(figure: Figure, readings: Sequence[Reading]) -> Metric:
    given = figure.name, figure.help
    if figure.kind is Kind.HISTOGRAM:
        spread = HistogramMetricFamily(*given, labels=figure.labels, unit=figure.unit)
        for _, labels, value in readings:
            if isinstance(value, Cells):
                spread.add_metric(labels, _buckets(figure, value), value.total)
        return spread
    if figure.kind is Kind.INFO:
        info = InfoMetricFamily(*given)
        for reading in readings:
            info.add_metric((), dict(zip(figure.labels, reading.labels, strict=True)))
        return info
    make = CounterMetricFamily if figure.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(*given, labels=figure.labels, unit=figure.unit)
    for _, labels, value in readings:
        if not isinstance(value, Cells):
            family.add_metric(labels, value)
    return family


def _buckets(figure: Figure, cells: Cells) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, figure.bounds), "+Inf"]
    return [*zip(bounds, accumulate(cells.counts), strict=True)]
