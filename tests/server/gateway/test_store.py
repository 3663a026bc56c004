"""A gateway keeps its tasks where it is told to."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from inferry.server.app.store import DATABASE, new_store
from inferry.server.config import Config
from inferry.server.store import StoreError
from inferry.server.store.postgres.store import PostgresStore
from inferry.server.store.sqlite.store import SqliteStore
from tests.backends import Backend
from tests.gateways import running_gateway
from tests.processes import start_gateway
from tests.server.store.opening import opened, opened_postgres


async def test_a_file_may_be_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    async with running_gateway(tmp_path / "data", store=SecretStr(f"sqlite:{path}")) as gateway:
        task = await gateway.create()
    assert not (tmp_path / "data" / DATABASE).exists()
    async with opened(path) as store:
        assert await store.task(task["id"]) is not None


async def test_what_postgres_keeps_is_taken_up_by_the_next_start(
    tmp_path: Path, postgres_url: str, backend: Backend
) -> None:
    store = SecretStr(postgres_url)
    async with running_gateway(tmp_path, store=store) as gateway:
        task = await gateway.create()
    assert not (tmp_path / DATABASE).exists()
    async with running_gateway(tmp_path, store=store) as gateway:
        await gateway.register(backend)
        assert (await gateway.task(task["id"], wait_s=10))["status"] == "COMPLETED"


async def test_serve_takes_a_store(tmp_path: Path, postgres_url: str) -> None:
    gateway = await start_gateway(tmp_path, "--store", postgres_url)
    await gateway.stop()
    async with opened_postgres(postgres_url) as store:
        assert store.epoch.number == 2


def test_a_store_in_postgres_needs_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(store=SecretStr("postgresql://inferry@db/inferry"))
    assert isinstance(new_store(config), PostgresStore)
    monkeypatch.setattr("inferry.server.app.store.find_spec", lambda _name: None)
    with pytest.raises(StoreError, match=r"pip install \'inferry\[postgres\]\'"):
        new_store(config)
    assert isinstance(new_store(Config()), SqliteStore)
