"""Creates a task for each line of a file, and follows them all if that is wanted."""

import os
import shlex
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from typing import NoReturn

import typer

from inferry.cli.batch.create import Answer, Creator
from inferry.cli.batch.creations import Pattern, batches
from inferry.cli.batch.follow import Follower
from inferry.cli.batch.lines import lines
from inferry.cli.batch.report import Report
from inferry.cli.exit_codes import ExitCode
from inferry.cli.session import Session, connected
from inferry.cli.terminal import say
from inferry.client.errors import InferryError
from inferry.v1.task_service_pb2 import CreateTaskRequest

#: Names standard input.
STDIN = "-"
_COUNTED_BYTES = 1024 * 1024
#: Characters of a name for a run: a line's number follows it in a request id of 255 at most.
_NAME_CHARS = 240


def submit_lines(
    context: typer.Context, given: str, common: CreateTaskRequest, *, follows: bool, as_json: bool
) -> NoReturn:
    """Creates the tasks of a file.

    Args:
        context: Of the command.
        given: The file, or ``-``.
        common: What the command line says of all tasks. Without a type, each line is a whole
            request; else it is a payload. Its request id names the run.
        follows: Waits for the ends of the tasks.
        as_json: Prints JSON.

    Raises:
        Exit: Always, with the status for what became of the lines.
        BadParameter: The file cannot be read.
    """
    run = common.request_id or uuid.uuid4().hex
    if len(run) > _NAME_CHARS:
        raise typer.BadParameter(
            f"{len(run)} characters; with --from, {_NAME_CHARS} at most", param_hint="--request-id"
        )
    common.request_id = ""
    pattern = Pattern(common, run, whole=not common.type)
    report = Report(as_json=as_json, follows=follows)
    with _open(given) as source, connected(context) as session, _parting(report, pattern):
        _run(session, source, pattern, report, follows=follows)
    say(report.summary() if report.lines else f"no lines in {given}: nothing was created", err=True)
    raise typer.Exit(report.exit_code())


def _run(
    session: Session, source: FileIO, pattern: Pattern, report: Report, *, follows: bool
) -> None:
    creator = Creator(session, report.full)
    follower = Follower(session, ended=report.end, gone=report.lose, moved=report.paint)
    try:
        with report.painted(lambda: _count(source), lambda: follower.done):
            for batch in batches(lines(source), pattern, report.refuse):
                created: list[str] = []
                for answer in creator.create(batch):
                    report.take(answer)
                    created += _followed(answer) if follows else ()
                report.paint()
                # Without tasks, too: it tells whether they can be followed still.
                follower.add(created)
            report.read_all()
            follower.wait()
    finally:
        follower.stop()


def _followed(answer: Answer) -> list[str]:
    return [answer.result.task.id] if answer.result.HasField("task") else []


def _open(given: str) -> FileIO:
    try:
        return FileIO(0, closefd=False) if given == STDIN else FileIO(given)
    except OSError as error:
        why = f"cannot read {given}: {error.strerror}"
        raise typer.BadParameter(why, param_hint="--from") from None


def _count(source: FileIO) -> int | None:
    """Counts the lines of a file; None if it can be read only once."""
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        return None
    begin, count = source.tell(), 0
    while chunk := source.read(_COUNTED_BYTES):
        count += chunk.count(b"\n")
    source.seek(begin)
    return count


@contextmanager
def _parting(report: Report, pattern: Pattern) -> Iterator[None]:
    """Says what becomes of the tasks when the command ends before they do, and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, InferryError, BrokenPipeError):
        _part(report, pattern)
        raise
    except OSError as error:
        _part(report, pattern)
        say(f"cannot read on: {error.strerror}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None


def _part(report: Report, pattern: Pattern) -> None:
    fits = _filters(pattern.common)
    say(
        f"stopped at line {report.last_line:,}: {report.summary()}. What was created goes on:\n"
        f"  inferry watch --all{fits}    shows it\n"
        f"  inferry cancel{fits or ' --status PENDING'}    ends all that fits this\n"
        f"  --request-id {shlex.quote(pattern.run)}    and the same lines: goes on from here, "
        "no task is created twice",
        err=True,
    )


def _filters(common: CreateTaskRequest) -> str:
    flags = [("--type", common.type)] if common.type else []
    flags += [("--label", f"{key}={value}") for key, value in sorted(common.labels.items())]
    return "".join(f" {flag} {shlex.quote(value)}" for flag, value in flags)
