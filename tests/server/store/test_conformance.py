"""Each store keeps what all stores promise."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from inferry.server.store import Store
from tests.server.store.conformance import StoreConformance
from tests.server.store.opening import opened, opened_postgres
from tests.server.store.promises.epochs import EpochConformance, Starts
from tests.server.store.promises.figures import UncountedConformance


@pytest.fixture(params=["file", "memory", "postgres"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractAsyncContextManager[Store]:
    match request.param:
        case "file":
            return opened(tmp_path / "inferry.db")
        case "memory":
            return opened(":memory:")
        case _:
            return opened_postgres(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def store(opening: AbstractAsyncContextManager[Store]) -> AsyncIterator[Store]:
    async with opening as store:
        yield store


@pytest.fixture(params=["file", "postgres"])
def starts(request: pytest.FixtureRequest, tmp_path: Path) -> Starts:
    if request.param == "file":
        return lambda: opened(tmp_path / "inferry.db")
    url: str = request.getfixturevalue("postgres_url")
    return lambda: opened_postgres(url)


class TestStore(StoreConformance):
    """All of it."""


class TestStarts(EpochConformance, UncountedConformance):
    """What counts over several starts."""
