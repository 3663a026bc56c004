"""A replica that dies, or stands still, is taken over from; one that comes back begins anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.replicas.crowd import Crowd, crowd


@pytest.fixture
async def many(postgres_url: str, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(postgres_url, tmp_path) as many:
        yield many
