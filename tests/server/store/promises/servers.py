"""What is kept of servers."""

from dataclasses import replace
from operator import attrgetter
from typing import Any

from inferry.server.errors import NotFoundError
from inferry.server.fleet.record import Transport
from inferry.server.store import Store
from inferry.server.store.operations import DrainServer, DropServer, Operation, PutServer
from tests.server.store.samples import NOW, SERVER, do


class ServerConformance:
    async def test_servers_are_put_and_dropped(self, store: Store) -> None:
        other = replace(SERVER, id="srv_2", name="gpu-2", capabilities=frozenset(), draining=True)
        assert await store.commit([PutServer(SERVER), PutServer(other)]) == [SERVER, other]
        assert sorted(await store.servers(), key=attrgetter("id")) == [SERVER, other]
        await do(store, DropServer("srv_2"), DropServer("srv_3"))
        assert await store.servers() == [SERVER]

    async def test_url_and_name_make_a_server_whatever_its_id_and_the_first_id_stays(
        self, store: Store
    ) -> None:
        changes: dict[str, Any] = {
            "capabilities": frozenset({"ocr"}),
            "max_concurrent": 99,
            "metadata": b"[]",
            "private_allowed": False,
            "updated_ms": NOW + 9,
            "labels": b'{"zone":"a"}',
        }
        again = replace(SERVER, id="srv_2", created_ms=NOW + 9, **changes)
        renewed = replace(SERVER, **changes)
        assert await store.commit([PutServer(SERVER), PutServer(again)]) == [SERVER, renewed]
        assert await store.servers() == [renewed]
        await do(store, DropServer("srv_1"))
        assert await store.commit([PutServer(again)]) == [again]

    async def test_tenant_and_name_make_a_worker_which_has_no_url(self, store: Store) -> None:
        worker = replace(SERVER, url="", transport=Transport.GRPC, tenant="acme")
        other = replace(worker, id="srv_2", tenant="umbrella")
        again = replace(worker, id="srv_3", max_concurrent=99)
        assert await store.commit([PutServer(worker), PutServer(other), PutServer(again)]) == [
            worker,
            other,
            replace(again, id="srv_1"),
        ]
        assert len(await store.servers()) == 2

    async def test_a_server_drains_until_it_is_resumed_even_if_it_registers_meanwhile(
        self, store: Store
    ) -> None:
        drained = replace(SERVER, draining=True)
        drains = [DrainServer("srv_1", draining) for draining in (True, False)]
        given: list[Operation] = [PutServer(SERVER), drains[0], PutServer(SERVER), drains[1]]
        assert await store.commit(given) == [SERVER, drained, drained, SERVER]
        (refusal,) = await store.commit([DrainServer("srv_9", draining=True)])
        assert isinstance(refusal, NotFoundError)
