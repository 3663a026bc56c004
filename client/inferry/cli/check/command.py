"""The command that checks a backend."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from secrets import token_bytes
from typing import Annotated

import aiohttp
import typer

from inferry.cli.arguments import duration_ms, http_url, listen_address, only_for
from inferry.cli.arguments import payload as json_object
from inferry.cli.check.backend import Backend
from inferry.cli.check.callbacks import listening
from inferry.cli.check.finding import Finding, Verdict
from inferry.cli.check.http_checks import check
from inferry.cli.check.work import Patience, Work
from inferry.cli.check.worker.limits import Limits
from inferry.cli.check.worker.run import check_worker
from inferry.cli.exit_codes import ExitCode
from inferry.cli.output import plain
from inferry.cli.terminal import say
from inferry.cli.tokens import local_secret

#: The word in place of a URL.
_WORKER = "worker"
_HTTP, _STREAM = "Of an HTTP backend", "Of a worker"


Target = Annotated[
    str,
    typer.Argument(
        parser=lambda text: text if text == _WORKER else http_url(text),
        metavar="URL|worker",
        help="An HTTP backend, or the word worker: one that dials in over gRPC.",
    ),
]
Command = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- COMMAND...]",
        help="Starts the worker, and is stopped at the end. Without, it tells what a worker "
        "needs to connect, and waits for one.",
        show_default=False,
    ),
]
TaskType = Annotated[str, typer.Option("--type", help="The type of the tasks that it gets.")]
Payload = Annotated[
    str, typer.Option(help="Work that ends well, soon: JSON, @FILE or - for standard input.")
]
LongPayload = Annotated[
    str | None,
    typer.Option(help="Work of some seconds that tells its progress; for some of the checks."),
]
BadPayload = Annotated[
    str | None, typer.Option(help="Work that ends with an error; for one of the checks.")
]
Timeout = Annotated[
    int, typer.Option(parser=duration_ms, metavar="TIME", help="How long a task may take.")
]
CallbackHost = Annotated[
    str,
    typer.Option(
        "--callback-host", help="Address to listen on for callbacks.", rich_help_panel=_HTTP
    ),
]
CallbackPort = Annotated[
    int,
    typer.Option(
        "--callback-port",
        min=0,
        max=65_535,
        help="Its port; 0 takes a free one.",
        rich_help_panel=_HTTP,
    ),
]
CallbackUrl = Annotated[
    str | None,
    typer.Option(
        "--callback-url",
        parser=http_url,
        metavar="URL",
        help="How the backend reaches that address, if by another one.",
        rich_help_panel=_HTTP,
    ),
]
Listen = Annotated[
    str,
    typer.Option(
        parser=listen_address,
        metavar="HOST:PORT",
        help="Where to listen for its stream; port 0 takes a free one.",
        rich_help_panel=_STREAM,
    ),
]


def check_backend(  # noqa: PLR0913  # an option each
    context: typer.Context,
    target: Target,
    command: Command = None,
    *,
    task_type: TaskType = "test-processing",
    payload: Payload = "{}",
    long_payload: LongPayload = None,
    bad_payload: BadPayload = None,
    timeout: Timeout = "30s",  # type: ignore[assignment]  # what the parser reads
    host: CallbackHost = "127.0.0.1",
    port: CallbackPort = 0,
    public_url: CallbackUrl = None,
    listen: Listen = "127.0.0.1:0",
) -> None:
    """Check whether a backend keeps its contract, in whatever language it is written.

    Calls it as a gateway does, and takes its callbacks; or takes a worker's stream, and runs
    through all that can happen on one: no gateway is needed. Exit status 1 says that a check
    failed.
    """
    work = Work(
        json_object(payload),
        None if long_payload is None else json_object(long_payload),
        None if bad_payload is None else json_object(bad_payload),
        Patience(timeout / 1_000),
    )
    if target == _WORKER:
        only_for("a URL", context, "host", "port", "public_url")
        found = check_worker(listen, command or (), task_type, work, _say_listening, Limits())
    else:
        only_for(_WORKER, context, "command", "listen")
        found = _over_http(target, task_type, work, (host, port, public_url))
    try:
        count = asyncio.run(_shown(found))
    except OSError as error:
        say(f"cannot check: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    say(", ".join(f"{count[verdict]} {verdict.lower()}" for verdict in Verdict if count[verdict]))
    if count[Verdict.FAIL]:
        raise typer.Exit(ExitCode.FAILED)


async def _over_http(
    url: str, task_type: str, work: Work, place: tuple[str, int, str | None]
) -> AsyncIterator[Finding]:
    async with (
        listening(*place, local_secret() or token_bytes()) as callbacks,
        aiohttp.ClientSession(trust_env=False) as http,
    ):
        async for finding in check(Backend(http, url, callbacks, task_type), work):
            yield finding


async def _shown(found: AsyncIterator[Finding]) -> Counter[Verdict]:
    verdicts: Counter[Verdict] = Counter()
    async for finding in found:
        _show(finding)
        verdicts[finding.verdict] += 1
    return verdicts


def _say_listening(address: str, token: str) -> None:
    say(f"inferry check listens: INFERRY_ADDRESS={address} INFERRY_TOKEN={token}")


def _show(finding: Finding) -> None:
    """Prints a line, and below it what to mend: at once, for the next check may take its time."""
    say(plain(f"{finding.verdict:4}  {finding.name:9}  {finding.text}"))
    if finding.remedy:
        aim = "to make it" if finding.verdict == Verdict.SKIP else "to mend"
        say(plain(f"{'':4}  {'':9}  {aim}: {finding.remedy}"))
