"""The gateways under load: one that has its store alone, or several replicas on one PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe

from tests.processes import GatewayProcess, start_gateway


class Gateways:
    """All of them; whoever calls goes on to the next one each time.

    Args:
        processes: They, on one store and with one secret.
    """

    def __init__(self, processes: Sequence[GatewayProcess]) -> None:
        self.processes = processes
        #: For records and logs.
        self.directory = processes[0].directory
        #: An admin's token.
        self.token = processes[0].token
        #: URLs of their REST.
        self.rest = [one.rest for one in processes]
        #: ``HOST:PORT`` of their gRPC.
        self.grpc = [one.grpc for one in processes]
        #: Whether one that stops, or begins anew, may send its callers to another.
        self.shared = len(processes) > 1


@asynccontextmanager
async def running_gateways(
    directory: Path, settings: dict[str, str], store: str | None = None, replicas: int = 1
) -> AsyncIterator[Gateways]:
    """Runs them until the block ends.

    Args:
        directory: For their data and logs.
        settings: Environment variables of each.
        store: URL of their database; None for a file of one alone.
        replicas: How many there are.
    """
    if store is not None:
        settings = {
            **settings,
            "INFERRY_STORE": store,
            "INFERRY_JWT_SECRET": token_urlsafe(48),
        }
    async with AsyncExitStack() as stack:
        processes = []
        for number in range(replicas):
            folder = directory / f"gateway-{number}"
            folder.mkdir()
            process = await start_gateway(folder, settings=settings)
            stack.push_async_callback(process.stop)
            processes.append(process)
        yield Gateways(processes)
