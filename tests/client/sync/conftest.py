from collections.abc import Iterator

import pytest

from inferry.client import Client
from tests.client.scripted import Scripted


@pytest.fixture
def client(gateway: Scripted) -> Iterator[Client]:
    with Client(gateway.address, "secret") as client:
        yield client
