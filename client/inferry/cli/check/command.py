"""The command that checks a backend."""

import asyncio
from collections import Counter
from typing import Annotated

import aiohttp
import typer

from inferry.cli.arguments import duration_ms, http_url
from inferry.cli.arguments import payload as json_object
from inferry.cli.check.backend import Backend
from inferry.cli.check.callbacks import listening
from inferry.cli.check.finding import Finding, Verdict
from inferry.cli.check.http_checks import check
from inferry.cli.check.work import Patience, Work
from inferry.cli.exit_codes import ExitCode
from inferry.cli.output import plain
from inferry.cli.terminal import say


def check_backend(  # noqa: PLR0913  # an option each
    url: Annotated[str, typer.Argument(parser=http_url, metavar="URL", help="The backend.")],
    *,
    task_type: Annotated[
        str, typer.Option("--type", help="The type of the tasks that it gets.")
    ] = "test-processing",
    payload: Annotated[
        str, typer.Option(help="Work that ends well, soon: JSON, @FILE or - for standard input.")
    ] = "{}",
    long_payload: Annotated[
        str | None,
        typer.Option(help="Work of some seconds that tells its progress; for four of the checks."),
    ] = None,
    bad_payload: Annotated[
        str | None, typer.Option(help="Work that ends with an error; for one of the checks.")
    ] = None,
    timeout: Annotated[
        int, typer.Option(parser=duration_ms, metavar="TIME", help="How long a task may take.")
    ] = "30s",  # type: ignore[assignment]  # what the parser reads
    host: Annotated[
        str, typer.Option("--callback-host", help="Address to listen on for callbacks.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--callback-port", min=0, max=65_535, help="Its port; 0 takes a free one."),
    ] = 0,
    public_url: Annotated[
        str | None,
        typer.Option(
            "--callback-url",
            parser=http_url,
            metavar="URL",
            help="How the backend reaches that address, if by another one.",
        ),
    ] = None,
) -> None:
    """Check whether a backend keeps its contract, in whatever language it is written.

    Calls it as a gateway does, and takes its callbacks: no gateway is needed. Exit status 1 says
    that a check failed.
    """
    work = Work(
        json_object(payload),
        None if long_payload is None else json_object(long_payload),
        None if bad_payload is None else json_object(bad_payload),
        Patience(timeout / 1_000),
    )
    try:
        count = asyncio.run(_check(url, task_type, work, (host, port, public_url)))
    except OSError as error:
        say(f"cannot listen for callbacks: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    say(", ".join(f"{count[verdict]} {verdict.lower()}" for verdict in Verdict if count[verdict]))
    if count[Verdict.FAIL]:
        raise typer.Exit(ExitCode.FAILED)


async def _check(
    url: str, task_type: str, work: Work, place: tuple[str, int, str | None]
) -> Counter[Verdict]:
    verdicts: Counter[Verdict] = Counter()
    async with (
        listening(*place) as callbacks,
        aiohttp.ClientSession(trust_env=False) as http,
    ):
        async for finding in check(Backend(http, url, callbacks, task_type), work):
            _show(finding)
            verdicts[finding.verdict] += 1
    return verdicts


def _show(finding: Finding) -> None:
    """Prints a line, and below it what to mend: at once, for the next check may take its time."""
    say(plain(f"{finding.verdict:4}  {finding.name:9}  {finding.text}"))
    if finding.remedy:
        say(plain(f"{'':4}  {'':9}  to mend: {finding.remedy}"))
