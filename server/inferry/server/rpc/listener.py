"""The gRPC server: the services on a port, and on a channel in this process."""

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from inferry.server.access.callback import CallbackVerifier
from inferry.server.access.tokens import TokenVerifier
from inferry.server.config import Config
from inferry.server.rpc.access_service import AccessServicer, Doors
from inferry.server.rpc.admission import Admission
from inferry.server.rpc.health_service import HealthServicer
from inferry.server.rpc.interceptors import ServerInterceptor
from inferry.server.rpc.local.channel import LocalChannel
from inferry.server.rpc.permissions import permissions
from inferry.server.rpc.servicers import SERVICES, Servicers
from inferry.server.rpc.under_way import UnderWay, hang_up
from inferry.server.rpc.unread import Vouching
from inferry.server.rpc.worker_service import CONNECT
from inferry.wire.health import STARTING, STOPPING, STORE
from inferry.wire.hosts import addresses_of, take_port, with_port

#: What a call's metadata may have beyond the longest token.
_OTHER_METADATA_BYTES = 8_192

#: What a message of a worker may have beside a chunk, or a result that is as large.
WORKER_MESSAGE_BYTES = 1024 * 1024


class RpcServer:
    """Serves the services of a gateway, behind one interceptor."""

    def __init__(
        self,
        config: Config,
        verifier: TokenVerifier,
        callbacks: CallbackVerifier,
        servicers: Servicers,
        doors: Doors,
    ) -> None:
        self._config = config
        admission = Admission(verifier, permissions(metrics_open=config.metrics_open))
        limits = {CONNECT: config.worker_chunk_bytes + WORKER_MESSAGE_BYTES}
        figures = servicers.metrics.calls
        vouching, lines = Vouching(callbacks), config.log_calls
        interceptor = ServerInterceptor(admission, vouching, limits, figures, lines)
        self._under_way = UnderWay()
        #: The port that was taken; 0 before.
        self._port = 0
        access = AccessServicer(admission, callbacks, verifier, doors)
        #: Where stubs in this process call.
        self.channel = LocalChannel(interceptor)
        self._health = HealthServicer(reason=STARTING)
        servicers.metrics.ready = lambda: self._health.serves
        interceptors = [self._under_way, interceptor]
        self._server = grpc.aio.server(interceptors=interceptors, options=_options(config))
        for server in (self._server, self.channel):
            servicers.add_to(server, access)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if config.reflection:
            names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def bind(self) -> str:
        """Takes the port on every address of the host; returns ``HOST:PORT`` of the first.

        Who connects waits until ``serve``.

        Raises:
            OSError: The port is taken, or an address cannot be had.
        """
        addresses, port = await addresses_of(self._config.host), self._config.grpc_port
        # Each by itself: for a name, gRPC would be content with one address of several.
        for address in addresses:
            target = with_port(address, port)
            # Where gRPC finds that out by itself, it fills standard error with its own log.
            take_port(address, port).close()
            try:
                port = self._server.add_insecure_port(target)
            except RuntimeError as error:
                raise OSError(f"cannot listen on {target}: {error}") from None
        self._port = port
        return with_port(addresses[0], port)

    async def serve(self) -> None:
        """Begins to answer on the port that ``bind`` took."""
        await self._server.start()

    def say_ready(self, ready: bool) -> None:  # noqa: FBT001  # it is all that is said
        """Tells probes whether the gateway can do its work."""
        self._health.say("" if ready else STORE)

    def say_stopping(self) -> None:
        """Tells probes that the gateway stops, whatever is said later."""
        self._health.say(STOPPING)

    def refuse(self) -> None:
        """Refuses new calls on the port as a gateway that stops does; those under way go on."""
        self._under_way.refuse()

    async def until_answered(self, within_s: float) -> None:
        """Waits until no call on the port waits for its one answer, or so long."""
        await self._under_way.until_answered(within_s)

    async def stop(self, grace_s: float) -> None:
        """Ends all calls on the port; those under way have so long. Nobody is told CANCELLED."""
        self.refuse()
        await self._under_way.until_over(grace_s)
        if self._port:
            hang_up(self._port)
        # In the same step: nobody who connects anew can have called in between.
        await self._server.stop(None)


def _options(config: Config) -> list[tuple[str, int]]:
    metadata = config.jwt_token_limit + _OTHER_METADATA_BYTES
    return [
        ("grpc.max_receive_message_length", config.message_limit_bytes),
        ("grpc.max_send_message_length", config.message_limit_bytes),
        # The limits that gRPC has by itself refuse a long token now and then.
        ("grpc.max_metadata_size", metadata),
        ("grpc.absolute_max_metadata_size", 2 * metadata),
        # A second gateway on the same port must fail, not take half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
