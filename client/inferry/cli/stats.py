"""The commands on what happened over time: how much, how long it took, and what failed."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from inferry.cli import arguments, output
from inferry.cli.moments import ago
from inferry.cli.output import NOTHING
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson
from inferry.cli.terminal import say
from inferry.v1.stats_service_pb2 import (
    FailureGroup,
    GetStatsRequest,
    GetStatsResponse,
    ListFailuresRequest,
)

#: Rows of figures, about.
_ROWS = 12
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))

OfType = Annotated[str, typer.Option("--type", help="Only tasks of this type.")]


def stats(
    context: typer.Context,
    *,
    span: Annotated[
        int,
        typer.Option(
            "--since", parser=arguments.duration_ms, metavar="DURATION", help="Begins so long ago."
        ),
    ] = "1h",  # type: ignore[assignment] # the parser reads the default, too
    task_type: OfType = "",
    as_json: AsJson = False,
) -> None:
    """Show how many tasks came, ended, waited and ran, and how long they took.

    WAIT and RUN: 95 % of those that started, or ended, took no longer. Times are in UTC.
    """
    request = GetStatsRequest(from_time=ago(span), step=_step_s(span // 1_000), type=task_type)
    with connected(context) as session:
        found = session.call(session.stats.GetStats, request)
    if as_json:
        output.print_json(output.document(found))
    else:
        head = ("UTC", "CREATED", "DONE", "FAILED", "CANCELLED", "WAITING", "RUNNING")
        output.print_rows((*head, "WAIT", "RUN"), list(_rows(found)))


def failures(
    context: typer.Context,
    *,
    span: Annotated[
        int,
        typer.Option(
            "--since",
            parser=arguments.duration_ms,
            metavar="DURATION",
            help="Of tasks that ended so long ago at most.",
        ),
    ] = "24h",  # type: ignore[assignment] # the parser reads the default, too
    task_type: OfType = "",
    as_json: AsJson = False,
) -> None:
    """Show what failed, in groups of one type, code and message, that of the latest first.

    `inferry list --fingerprint` and `inferry retry --all --fingerprint` take a group's fingerprint.
    """
    request = ListFailuresRequest(from_time=ago(span), type=task_type)
    with connected(context) as session:
        found = session.call(session.stats.ListFailures, request)
    if as_json:
        output.print_json(output.document(found))
        return
    _print_groups(found.groups)
    if found.more:
        say("there are more: ask for a shorter time, or for one type", err=True)


def _step_s(span_s: int) -> int:
    """Chooses the length of a row: whole minutes are known for a day, whole hours for longer."""
    unit_s = _MINUTE_S if span_s < _DAY_S else _HOUR_S
    return min(_DAY_S, unit_s * max(1, -(-span_s // (_ROWS * unit_s))))


def _rows(found: GetStatsResponse) -> Iterator[tuple[str, ...]]:
    counts = (
        *(found.created, found.completed, found.failed, found.cancelled),
        *(found.waiting, found.running),
    )
    form = "%H:%M" if found.step * len(found.created) <= _DAY_S else "%m-%d %Hh"
    times = zip(found.wait_p95_ms, found.run_p95_ms, strict=True)
    for number, (numbers, (wait_ms, run_ms)) in enumerate(
        zip(zip(*counts, strict=True), times, strict=True)
    ):
        begins_s = found.from_time.seconds + number * found.step
        yield (
            datetime.fromtimestamp(begins_s, UTC).strftime(form),
            *(str(one) if one >= 0 else NOTHING for one in numbers),
            _length(wait_ms),
            _length(run_ms),
        )


def _length(milliseconds: float) -> str:
    """Spells how long something took: three digits of it are known."""
    if milliseconds < 0:
        return NOTHING
    for unit_ms, name in _UNITS:
        if milliseconds >= unit_ms:
            return f"{milliseconds / unit_ms:.1f} {name}"
    return f"{milliseconds:.0f} ms"


def _print_groups(groups: Sequence[FailureGroup]) -> None:
    now_s = time.time()
    last = "LAST" if output.OUT.is_terminal else "LAST (UTC)"
    output.print_rows(
        ("COUNT", last, "TYPE", "CODE", "FINGERPRINT", "MESSAGE"),
        [
            (
                str(group.count),
                _last_seen(group, now_s),
                group.type,
                group.code or NOTHING,
                group.fingerprint,
                group.message or NOTHING,
            )
            for group in groups
        ],
        {"TYPE": 8, "CODE": 8},
        last_below=True,
    )


def _last_seen(group: FailureGroup, now_s: float) -> str:
    if output.OUT.is_terminal:
        return output.moment_of(group, "last_seen", now_s)
    return group.last_seen.ToDatetime(UTC).strftime("%m-%d %H:%M")
