from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.play import Play
from tests.cli.real import Inferry
from tests.cli.scripted import Gateway, scripted_gateway
from tests.processes import GatewayProcess


@pytest.fixture
def play() -> Iterator[Play]:
    with ThreadPoolExecutor(1) as pool:
        yield Play(pool)


@pytest.fixture
def inferry(gateway_process: GatewayProcess) -> Inferry:
    return Inferry(gateway_process)


@pytest.fixture
async def scripted() -> AsyncIterator[Gateway]:
    async with scripted_gateway() as gateway:
        yield gateway
