"""Measures a gateway on a store that is full of tasks beside one on an empty store.

How long it takes to start, what memory it has then, and what it carries: see docs/benchmarks.md.

python -m benchmarks.full_store --finished 1000000 --waiting 100000 --store postgres
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from statistics import median

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks.driver import LOADS, Gateway, Round, listening
from benchmarks.filling import fill, fill_postgres
from benchmarks.processes import BIN, output_of, running
from benchmarks.statements import LOGGING, Counts, counted
from benchmarks.steady import running_postgres
from tests.postgres import PostgresServer, database

#: How long each is pressed in its turn.
ROUND_S = 1.0
_SECRET = token_urlsafe(48)


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1_024


@asynccontextmanager
async def filled(
    kind: str, scratch: Path, finished: int, waiting: int
) -> AsyncIterator[tuple[dict[str, str], PostgresServer | None]]:
    """Makes an empty store and a full one.

    Yields:
        The place of each, as a setting has it, and the database, if there is one.
    """
    sizes = {"empty": (0, 0), "full": (finished, waiting)}
    if kind == "sqlite":
        for name, size in sizes.items():
            await fill(scratch / f"{name}.db", *size)
        yield {name: f"sqlite:{scratch / name}.db" for name in sizes}, None
        return
    async with AsyncExitStack() as stack:
        server = stack.enter_context(running_postgres(**LOGGING))
        urls: dict[str, str] = {}
        for name, size in sizes.items():
            urls[name] = url = await stack.enter_async_context(database(server.url))
            await fill_postgres(url, *size)
        yield urls, server


async def start(
    stack: AsyncExitStack, scratch: Path, name: str, store: str
) -> tuple[Gateway, float]:
    """Starts a gateway on a store; tells how long that took, in seconds."""
    settings = {
        "INFERRY_DATA_DIR": scratch / name,
        "INFERRY_JWT_SECRET": _SECRET,
        "INFERRY_QUEUE_LIMIT": 10_000_000,
        "INFERRY_QUEUE_LIMIT_PER_TENANT": 10_000_000,
        "INFERRY_STORE": store,
    }
    command: list[str | Path] = ["env", *(f"{key}={value}" for key, value in settings.items())]
    command.append(BIN / "inferry")
    serve = [*command, "serve", "--port", "0", "--grpc-port", "0"]
    began_s = time.perf_counter()
    process, url = await stack.enter_async_context(running(serve, scratch / f"{name}.log"))
    took_s = time.perf_counter() - began_s
    token = await output_of([*command, "token", "--role", "admin"])
    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {token}"},
        )
    )
    return Gateway(name, url, process.pid, session), took_s


async def measure(kind: str, finished: int, waiting: int, rounds: int) -> None:
    """Starts a gateway on a full store and one on an empty one, and presses them in turns."""
    console = Console()
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.home())))
        backend, backend_url = await stack.enter_async_context(
            running([sys.executable, "-m", "benchmarks.backend"], scratch / "backend.log")
        )
        ends = await stack.enter_async_context(listening(backend))
        places, server = await stack.enter_async_context(filled(kind, scratch, finished, waiting))
        gateways: list[Gateway] = []
        facts: dict[str, tuple[float, float]] = {}
        starts: dict[str, Counts] = {}
        for name, store in places.items():
            async with counted(server, store) as starts[name]:
                gateway, start_s = await start(stack, scratch, name, store)
            facts[name] = start_s, _memory_mib(gateway.pid)
            await gateway.register(backend_url)
            gateways.append(gateway)
        load = LOADS[0]
        found: dict[str, list[Round]] = {gateway.name: [] for gateway in gateways}
        for gateway in gateways if rounds else ():
            await gateway.press(load, ROUND_S, ends)
        for _ in range(rounds):
            for gateway in gateways:
                found[gateway.name].append(await gateway.press(load, ROUND_S, ends))
        console.print(f"{finished:,} tasks have ended in the full store, {waiting:,} wait")
        console.print(_table(facts, found))
        for gateway in gateways if server is not None else ():
            async with counted(server, places[gateway.name]) as pressed:
                await gateway.press(load, ROUND_S, ends)
            for what, counts in (("start", starts[gateway.name]), ("load", pressed)):
                for line in counts.lines():
                    console.print(f"{what}, {gateway.name}: {line}")


def _table(facts: dict[str, tuple[float, float]], found: dict[str, list[Round]]) -> Table:
    table = Table("store", "start, s", "memory, MiB", "tasks/s", "p50, ms", "p99, ms")
    for name, measured in found.items():
        start_s, mib = facts[name]
        figures = (
            f"{median(one.rate for one in measured):.0f}" if measured else "",
            *(
                f"{median(one.percentile_ms(share) for one in measured):.1f}" if measured else ""
                for share in (0.5, 0.99)
            ),
        )
        table.add_row(name, f"{start_s:.2f}", f"{mib:.0f}", *figures)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full_store")
    parser.add_argument("--finished", type=int, default=1_000_000, help="tasks that have ended")
    parser.add_argument("--waiting", type=int, default=100_000, help="tasks that wait")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of load of each gateway")
    stores = ("sqlite", "postgres")
    parser.add_argument("--store", choices=stores, default=stores[0], help="what kind of store")
    given = parser.parse_args()
    asyncio.run(measure(given.store, given.finished, given.waiting, given.rounds))


if __name__ == "__main__":
    main()
