from collections.abc import Iterator

import pytest

from tests.client.scripted import Scripted, running


@pytest.fixture
def gateway() -> Iterator[Scripted]:
    with running() as gateway:
        yield gateway
