"""The command that moves all that a gateway keeps to another store."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from inferry.cli.exit_codes import ExitCode
from inferry.cli.lifetime import SettingsFile
from inferry.cli.settings import SettingsError, load_settings
from inferry.cli.terminal import say
from inferry.server.app.store import new_end
from inferry.server.config import Config
from inferry.server.store import StoreError
from inferry.server.store.transfer.end import End
from inferry.server.store.transfer.move import Compared, Step, move, open_ends

#: Between two lines that say how far it is.
_TELL_S = 2.0
_HASH_DIGITS = 16


def migrate_store(
    source: Annotated[
        str, typer.Argument(help="Where tasks are now: sqlite:PATH or postgresql://…")
    ],
    target: Annotated[str, typer.Argument(help="Where they are to be: an empty store.")],
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until no gateway has the source open.")
    ] = False,
    settings_file: SettingsFile = None,
) -> None:
    """Move all that a gateway keeps to another store: from a file to PostgreSQL, or back.

    No gateway may have either store open. The source is only read. When all is copied, both are
    read again and compared; only then will a gateway open the target. A move that was broken off
    is begun anew by the same command.
    """
    try:
        ends = [_end(settings_file, said) for said in (source, target)]
        uvloop.run(_move(ends[0], ends[1], wait=wait))
    except (SettingsError, StoreError, OSError) as error:
        say(f"inferry: nothing was moved: {error}", err=True)
        wrong = isinstance(error, SettingsError)
        raise typer.Exit(ExitCode.USAGE if wrong else ExitCode.FAILED) from None


def _end(settings_file: Path | None, said: str) -> End:
    return new_end(load_settings(Config, settings_file, {"store": said}))


async def _move(source: End, target: End, *, wait: bool) -> None:
    try:
        if await open_ends(source, target, wait=wait):
            say(f"{target.place}: an earlier move was broken off; it begins anew", err=True)
        began_s = time.monotonic()
        compared = await move(source, target, _teller(began_s))
        took_s = time.monotonic() - began_s
    finally:
        await target.close()
        await source.close()
    _show(compared)
    different = [one.table for one in compared if not one.same]
    if different:
        say(
            f"inferry: {', '.join(different)} differ; {target.place} cannot be used, "
            f"and {source.place} is as it was",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)
    tasks = next(one.target.rows for one in compared if one.table == "tasks")
    say(f"moved {tasks:,} tasks in {took_s:.1f} s ({tasks / took_s:,.0f}/s) to {target.place}")


def _teller(began_s: float) -> Callable[[Step], None]:
    """Makes what tells on standard error how far the move is, now and then."""
    told_s, table, table_began_s = began_s, ("", ""), began_s

    def tell(step: Step) -> None:
        nonlocal told_s, table, table_began_s
        now_s = time.monotonic()
        if (step.doing, step.table) != table:
            table, table_began_s = (step.doing, step.table), now_s
        if now_s - told_s >= _TELL_S:
            told_s = now_s
            took_s = max(now_s - table_began_s, 0.001)
            rate = f", {step.rows / took_s:,.0f}/s" if now_s > table_began_s else ""
            say(f"{step.doing} {step.table}: {step.rows:,} rows{rate}", err=True)

    return tell


def _show(compared: Sequence[Compared]) -> None:
    """Prints what was compared, a table a line."""
    say(f"{'table':<14}{'rows':>12}  hash")
    for one in compared:
        hash_ = one.target.hash[:_HASH_DIGITS]
        if one.same:
            say(f"{one.table:<14}{one.target.rows:>12,}  {hash_}")
        else:
            was = f"{one.source.rows:,} rows, {one.source.hash[:_HASH_DIGITS]}"
            say(f"{one.table:<14}{one.target.rows:>12,}  {hash_}  differs: the source has {was}")
