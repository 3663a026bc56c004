"""The gRPC server: the services on a port, and on a channel in this process."""

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from inferry.server.access.callback import CallbackVerifier
from inferry.server.access.tokens import TokenVerifier
from inferry.server.config import Config
from inferry.server.rpc.access_service import AccessServicer
from inferry.server.rpc.admission import Admission
from inferry.server.rpc.health_service import HealthServicer
from inferry.server.rpc.interceptors import ServerInterceptor
from inferry.server.rpc.local.channel import LocalChannel
from inferry.server.rpc.under_way import UnderWay, hang_up
from inferry.server.rpc.unread import Vouching
from inferry.server.rpc.worker_service import CONNECT
from inferry.v1 import (
    access_service_pb2,
    access_service_pb2_grpc,
    queue_service_pb2,
    queue_service_pb2_grpc,
    server_service_pb2,
    server_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from inferry.wire.hosts import addresses_of, take_port, with_port

#: What a call's metadata may have beyond the longest token.
_OTHER_METADATA_BYTES = 8_192

#: What a message of a worker may have beside a chunk, or a result that is as large.
WORKER_MESSAGE_BYTES = 1024 * 1024

_SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
    queue_service_pb2.DESCRIPTOR.services_by_name["QueueService"].full_name,
    worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name,
    webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"].full_name,
    access_service_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name,
)


class RpcServer:
    """Serves the services of a gateway, behind one interceptor."""

    def __init__(
        self,
        config: Config,
        verifier: TokenVerifier,
        callbacks: CallbackVerifier,
        tasks: task_service_pb2_grpc.TaskServiceServicer,
        servers: server_service_pb2_grpc.ServerServiceServicer,
        queue: queue_service_pb2_grpc.QueueServiceServicer,
        workers: worker_service_pb2_grpc.WorkerServiceServicer,
        webhooks: webhook_service_pb2_grpc.WebhookServiceServicer,
    ) -> None:
        self._config = config
        admission = Admission(verifier)
        limits = {CONNECT: config.worker_chunk_bytes + WORKER_MESSAGE_BYTES}
        interceptor = ServerInterceptor(admission, Vouching(callbacks), limits)
        self._under_way = UnderWay()
        #: The port that was taken; 0 before.
        self._port = 0
        access = AccessServicer(admission, callbacks)
        #: Where stubs in this process call.
        self.channel = LocalChannel(interceptor)
        self._health = HealthServicer()
        interceptors = [self._under_way, interceptor]
        self._server = grpc.aio.server(interceptors=interceptors, options=_options(config))
        for server in (self._server, self.channel):
            task_service_pb2_grpc.add_TaskServiceServicer_to_server(tasks, server)
            server_service_pb2_grpc.add_ServerServiceServicer_to_server(servers, server)
            queue_service_pb2_grpc.add_QueueServiceServicer_to_server(queue, server)
            worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(workers, server)
            webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server(webhooks, server)
            access_service_pb2_grpc.add_AccessServiceServicer_to_server(access, server)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if config.reflection:
            names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
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
        self._health.say(serving=ready)

    def say_stopping(self) -> None:
        """Tells probes that the gateway stops, whatever is said later."""
        self._health.say_stopping()

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
