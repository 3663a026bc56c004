"""Moments that arguments name; apart from the arguments, which load nothing of the client."""

from datetime import UTC, datetime, timedelta

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from inferry.client.requests import moment


def ago(milliseconds: int | None) -> Timestamp | None:
    """Gives the time so long ago, as requests have it; None stays so.

    Raises:
        BadParameter: No calendar has it.
    """
    try:
        return moment(
            None
            if milliseconds is None
            else datetime.now(UTC) - timedelta(milliseconds=milliseconds)
        )
    except OverflowError:
        raise typer.BadParameter("no calendar goes back so far") from None
