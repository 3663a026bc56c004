"""What tests everywhere may ask for."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.backends import Backend, running_backend
from tests.gateways import Running, running_gateway
from tests.ports import own_port
from tests.postgres import URL, clean, database, postgres_server
from tests.processes import GatewayProcess, MockProcess, start_gateway, start_mock
from tests.stores import FILE, POSTGRES, stores

# How fast an example runs says more about the machine than about the code.
settings.register_profile(
    "inferry", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("inferry")

#: Below here: they take longest, and the others run beside them.
_FIRST = ("simulation", "crash", "soak")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in _FIRST)


@pytest.fixture
def unused_tcp_port() -> int:
    """A port on which nobody listens, and nobody else will."""
    return own_port()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway in this process, with the settings that it has by default."""
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """A backend in this process that succeeds with everything."""
    async with running_backend() as running:
        yield running


@pytest.fixture
async def gateway_process(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """A running gateway; the test may kill and restart it."""
    gateway = await start_gateway(tmp_path)
    try:
        yield gateway
    finally:
        await gateway.stop()


@pytest.fixture
async def mock_process(gateway_process: GatewayProcess) -> AsyncIterator[MockProcess]:
    """A running mock backend for ``test-processing``, registered at ``gateway_process``."""
    mock = await start_mock(gateway_process)
    try:
        yield mock
    finally:
        await mock.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running PostgreSQL, for a user who may make databases."""
    if URL:
        yield URL
        return
    with postgres_server() as server:
        yield server.url


@pytest.fixture(scope="session", autouse=True)
async def stores_of_the_session() -> AsyncIterator[None]:
    """Where gateways keep their tasks, for whoever sets ``INFERRY_TEST_STORE=postgres``."""
    yield
    await stores.close()


@pytest.fixture(autouse=True)
def stores_of_the_test(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Gives the stores of a test to the next one."""
    if request.node.get_closest_marker("file_store") is not None:
        monkeypatch.setattr(stores, "kind", FILE)
    if stores.kind == POSTGRES:
        stores.server_url = request.getfixturevalue("postgres")
    yield
    stores.release()


@pytest.fixture(scope="session")
async def shared_database(postgres: str) -> AsyncIterator[str]:
    """A database that all tests use, one after the other: to make one takes half a second."""
    async with database(postgres) as url:
        yield url


@pytest.fixture
async def postgres_url(shared_database: str) -> str:
    """The URL of a database for a store, with nothing of another test in it."""
    await clean(shared_database)
    return shared_database
