"""What it costs to be watched: gateways that count nothing, that count, and that trace, in turns.

With ``--before CHECKOUT`` also one of another checkout, whose environment is in its ``.venv``.
"""

import argparse
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp
import uvloop
from aiohttp import web

from benchmarks.driver import LOADS, Gateway, Load, Round, listening
from benchmarks.machine import describe
from benchmarks.processes import BIN, output_of, running

ROUNDS, ROUND_S, WARM_UP_S = 5, 3.0, 1.0
SCRATCH = Path(__file__).parent.parent / ".build"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to run a gateway."""

    name: str
    #: Where ``inferry`` is.
    place: Path
    #: Settings, as variables.
    settings: Mapping[str, str]


ARMS = (
    Arm("off", BIN, {"INFERRY_METRICS": "false"}),
    Arm("metrics", BIN, {"INFERRY_METRICS": "true"}),
    Arm("both", BIN, {"INFERRY_METRICS": "true", "INFERRY_TRACES": "true"}),
)


@asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    """Takes spans and forgets them; gives its URL."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _gateway(arm: Arm, scratch: Path, collector: str) -> AsyncIterator[Gateway]:
    inferry, place = arm.place / "inferry", ("--data-dir", scratch / arm.name)
    settings = {**arm.settings, "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    given = [f"{name}={value}" for name, value in settings.items()]
    ports = ("--port", "0", "--grpc-port", "0")
    serve: list[str | Path] = ["env", *given, inferry, "serve", *ports, *place]
    async with running(serve, scratch / f"{arm.name}.log") as (process, url):
        token = await output_of([inferry, "token", *place, "--role", "admin"])
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers={"Authorization": f"Bearer {token}"}
        ) as session:
            yield Gateway(arm.name, url, process.pid, session)


async def measure(
    arms: Sequence[Arm], loads: Sequence[Load], rounds: int, round_s: float, scratch: Path
) -> dict[str, dict[str, list[Round]]]:
    """Puts each load on each arm in turns; returns the rounds by load and arm."""
    results: dict[str, dict[str, list[Round]]] = {}
    backend = [sys.executable, "-m", "benchmarks.backend"]
    async with AsyncExitStack() as stack:
        working, url = await stack.enter_async_context(running(backend, scratch / "backend.log"))
        ends = await stack.enter_async_context(listening(working))
        collector = await stack.enter_async_context(_collector())
        gateways = [
            await stack.enter_async_context(_gateway(arm, scratch, collector)) for arm in arms
        ]
        for gateway in gateways:
            await gateway.register(url)
        for load in loads:
            taken: dict[str, list[Round]] = {gateway.name: [] for gateway in gateways}
            for gateway in gateways:
                await gateway.press(load, min(WARM_UP_S, round_s), ends)
            for _ in range(rounds):
                for gateway in gateways:
                    taken[gateway.name].append(await gateway.press(load, round_s, ends))
            results[load.name] = taken
    return results


def ratio(rounds: Sequence[Round], first: Sequence[Round]) -> float:
    """Tells how processor time of a task is to that of another arm, round by round."""
    pairs = zip(rounds, first, strict=True)
    return median(one.processor_us / other.processor_us for one, other in pairs)


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watched", description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--only", choices=[load.name for load in LOADS], help="one kind of load")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    before = [] if asked.before is None else [Arm("before", asked.before / ".venv/bin", {})]
    loads = [load for load in LOADS if asked.only in (None, load.name)]
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SCRATCH) as folder:
        machine = describe(Path(folder))
        results = await measure([*before, *ARMS], loads, asked.rounds, ROUND_S, Path(folder))
    for load, taken in results.items():
        first = next(iter(taken.values()))
        for name, rounds in taken.items():
            used_us = median(one.processor_us for one in rounds)
            print(f"{load:8} {name:10} {used_us:6.0f} us/task  {ratio(rounds, first):.3f}")
    print(machine)


if __name__ == "__main__":
    uvloop.run(_main())
