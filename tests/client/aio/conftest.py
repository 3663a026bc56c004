from collections.abc import AsyncIterator

import pytest

from inferry.client import AsyncClient
from tests.client.scripted import Scripted


@pytest.fixture
async def client(gateway: Scripted) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(gateway.address, "secret") as client:
        yield client
