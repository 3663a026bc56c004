"""A bridge in front of a scripted gateway, for the tests of the bridge."""

from collections.abc import AsyncIterator

import pytest

from tests.bridge.upstream import Client, running_bridge


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running_bridge() as running:
        yield running
