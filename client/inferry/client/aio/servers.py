"""What a client does with servers and the queue."""

from inferry.client.aio.calls import Calls
from inferry.client.fleet_records import Queue, Server, TypeQueue
from inferry.client.paging import Pages
from inferry.client.reading import read
from inferry.v1 import queue_service_pb2, server_service_pb2

#: Servers a page, at most.
_SERVERS = 500


class AsyncServers:
    """The part of ``AsyncClient`` for those who run a gateway: servers and the queue."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def servers(self) -> list[Server]:
        """Lists the servers and workers by name."""
        request = server_service_pb2.ListServersRequest(page_size=_SERVERS)
        found: list[Server] = []
        pages, more = Pages(), True
        while more:
            page = await self._calls.ask(lambda s: s.servers.ListServers, request)
            found += [read(Server, server) for server in page.servers]
            more = pages.turn(request, page.next_page_token)
        return found

    async def server(self, server_id: str) -> Server:
        """Reads a server.

        Raises:
            NotFound: There is none.
        """
        request = server_service_pb2.GetServerRequest(id=server_id)
        return read(Server, (await self._calls.ask(lambda s: s.servers.GetServer, request)).server)

    async def drain(self, server_id: str) -> Server:
        """Sends a server no more tasks; those that it has go on."""
        request = server_service_pb2.DrainServerRequest(id=server_id)
        answer = await self._calls.ask(lambda s: s.servers.DrainServer, request)
        return read(Server, answer.server)

    async def resume(self, server_id: str) -> Server:
        """Sends a server tasks again that was drained, or that rests."""
        request = server_service_pb2.ResumeServerRequest(id=server_id)
        answer = await self._calls.ask(lambda s: s.servers.ResumeServer, request)
        return read(Server, answer.server)

    async def deregister(self, server_id: str, grace: float = 30.0) -> None:
        """Takes a server out of the list.

        Args:
            server_id: The server.
            grace: Seconds that the tasks which it has may take to end; then they are lost to it.
        """
        request = server_service_pb2.DeregisterServerRequest(
            id=server_id, grace_ms=round(grace * 1_000)
        )
        # The gateway may wait for the tasks before it answers.
        patience = self._calls.patience(self._calls.settings.timeout_s + grace)
        await self._calls.ask(lambda s: s.servers.DeregisterServer, request, patience, safe=False)

    async def queue(self) -> Queue:
        """Shows how many tasks wait, by type, and which types are paused."""
        request = queue_service_pb2.GetQueueRequest()
        answer = await self._calls.ask(lambda s: s.queue.GetQueue, request)
        return read(Queue, answer)

    async def pause(self, task_type: str, reason: str = "") -> TypeQueue:
        """Starts no more tasks of a type; those that run go on."""
        request = queue_service_pb2.PauseTypeRequest(type=task_type, reason=reason)
        return read(TypeQueue, (await self._calls.ask(lambda s: s.queue.PauseType, request)).queue)

    async def unpause(self, task_type: str) -> TypeQueue:
        """Starts tasks of a paused type again."""
        request = queue_service_pb2.ResumeTypeRequest(type=task_type)
        return read(TypeQueue, (await self._calls.ask(lambda s: s.queue.ResumeType, request)).queue)
