"""ServerService: from messages to the registry and back."""

from dataclasses import dataclass
from typing import Any

from inferry.server.access.tokens import Role
from inferry.server.engine.registry import Registration, Registry, server_url
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import load_of
from inferry.server.outbound.places import Places
from inferry.server.rpc.acts import noted
from inferry.server.rpc.admission import caller
from inferry.server.rpc.convert import server_to_proto
from inferry.server.rpc.pages import PAGE_DEFAULT, fitting, read_cursor, write_cursor
from inferry.server.rpc.registrations import check_place, said_by
from inferry.v1 import server_pb2, server_service_pb2_grpc
from inferry.v1 import server_service_pb2 as pb

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


@dataclass(frozen=True, slots=True)
class ServerDefaults:
    """What counts when nobody says."""

    #: Tasks that a server takes at once.
    max_concurrent: int
    #: What the tasks of a server that is taken out may take to end.
    grace_ms: int


@noted
class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """Everything that can be done with servers."""

    def __init__(self, registry: Registry, defaults: ServerDefaults) -> None:
        self._registry = registry
        self._defaults = defaults
        self._places = Places()

    async def RegisterServer(
        self, request: pb.RegisterServerRequest, context: Context
    ) -> pb.RegisterServerResponse:
        """Registers a server, or renews the registration of the same url and name."""
        said = said_by(request, self._defaults.max_concurrent)
        private_allowed = Role.ADMIN in caller().roles
        url = server_url(request.url)
        await check_place(url, self._places, private_allowed=private_allowed)
        member = await self._registry.register(
            Registration(
                url=url,
                name=said.name,
                capabilities=said.capabilities,
                max_concurrent=said.max_concurrent,
                metadata=said.metadata,
                private_allowed=private_allowed,
            )
        )
        notes = self._registry.notes(member)
        return pb.RegisterServerResponse(id=member.record.id, status=_status(member), notes=notes)

    async def ListServers(
        self, request: pb.ListServersRequest, context: Context
    ) -> pb.ListServersResponse:
        """Lists the servers by name."""
        size, start = request.page_size or PAGE_DEFAULT, read_cursor(request.page_token) or 0
        members = await self._registry.find_all()
        servers = fitting(self._shown(member) for member in members[start : start + size])
        end = start + len(servers)
        return pb.ListServersResponse(
            servers=servers, next_page_token=write_cursor(end) if len(members) > end else ""
        )

    async def GetServer(
        self, request: pb.GetServerRequest, context: Context
    ) -> pb.GetServerResponse:
        """Reads a server."""
        member = await self._registry.find(request.id)
        return pb.GetServerResponse(server=self._shown(member))

    async def Heartbeat(
        self, request: pb.HeartbeatRequest, context: Context
    ) -> pb.HeartbeatResponse:
        """Takes a server's own word that it is alive, and its load."""
        said = request.load
        load = load_of(said.cpu, said.memory, said.active_tasks, said.queue_length)
        member = await self._registry.heartbeat(
            request.id, load if request.HasField("load") else None
        )
        return pb.HeartbeatResponse(id=member.record.id, status=_status(member))

    async def DrainServer(
        self, request: pb.DrainServerRequest, context: Context
    ) -> pb.DrainServerResponse:
        """Sends a server no more tasks; those it has go on."""
        member = await self._registry.drain(request.id, draining=True)
        return pb.DrainServerResponse(server=self._shown(member))

    async def ResumeServer(
        self, request: pb.ResumeServerRequest, context: Context
    ) -> pb.ResumeServerResponse:
        """Ends a drain, and a rest."""
        member = await self._registry.drain(request.id, draining=False)
        return pb.ResumeServerResponse(server=self._shown(member))

    async def DeregisterServer(
        self, request: pb.DeregisterServerRequest, context: Context
    ) -> pb.DeregisterServerResponse:
        """Takes a server out of the list, once its tasks have ended or the time of grace has."""
        grace_ms = self._defaults.grace_ms
        if request.HasField("grace_ms"):
            grace_ms = request.grace_ms
        await self._registry.deregister(request.id, grace_ms)
        return pb.DeregisterServerResponse()

    def _shown(self, member: Member) -> server_pb2.Server:
        return server_to_proto(member, self._registry.notes(member))


def _status(member: Member) -> server_pb2.Server.Status.ValueType:
    return server_pb2.Server.Status.ValueType(member.status)
