from collections.abc import AsyncIterator

import pytest

from tests.cli.scripted import Gateway, scripted_gateway


@pytest.fixture
async def scripted() -> AsyncIterator[Gateway]:
    async with scripted_gateway() as gateway:
        yield gateway
