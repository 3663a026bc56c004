"""Counts calls, by OpenTelemetry's names for RPCs."""

from grpc import StatusCode

from inferry.server.telemetry.meters import Meters

_SYSTEM = "grpc"


class CallFigures:
    """Counts them; the methods are those of the table of permissions, whatever is asked for.

    Args:
        meters: Where they are counted.
    """

    def __init__(self, meters: Meters) -> None:
        self._durations = meters.rpc_duration
        self._streams = meters.streams

    def ended(self, method: str, code: StatusCode, took_s: float) -> None:
        """A call over a socket has ended.

        Args:
            method: Its full name, as it travels.
            code: The status that it ended with.
            took_s: How long it took, in seconds.
        """
        self._durations.note((_SYSTEM, method[1:], code.name), took_s)

    def opened(self, method: str, count: int) -> None:
        """A stream of answers was opened, or ended if ``count`` is -1."""
        self._streams.add((method[1:],), count)
