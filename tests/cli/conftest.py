from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.play import Play
from tests.cli.real import Inferry
from tests.processes import GatewayProcess


@pytest.fixture
def play() -> Iterator[Play]:
    with ThreadPoolExecutor(1) as pool:
        yield Play(pool)


@pytest.fixture
def inferry(gateway_process: GatewayProcess) -> Inferry:
    return Inferry(gateway_process)
