"""The guide holds whatever the gateway keeps its tasks in."""

import pytest

from tests.stores import FILE, POSTGRES, stores


@pytest.fixture(autouse=True, params=[FILE, POSTGRES])
def kind_of_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == POSTGRES:
        stores.server_url = request.getfixturevalue("postgres")
    monkeypatch.setattr(stores, "kind", request.param)
