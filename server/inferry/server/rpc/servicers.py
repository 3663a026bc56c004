"""What answers the calls of the gateway's own services: one servicer for each."""

from typing import Any, NamedTuple

from inferry.server.rpc.metrics_service import MetricsServicer
from inferry.v1 import (
    access_service_pb2,
    access_service_pb2_grpc,
    metrics_service_pb2,
    metrics_service_pb2_grpc,
    queue_service_pb2,
    queue_service_pb2_grpc,
    server_service_pb2,
    server_service_pb2_grpc,
    stats_service_pb2,
    stats_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)

_FILES = (
    task_service_pb2,
    server_service_pb2,
    queue_service_pb2,
    worker_service_pb2,
    access_service_pb2,
    metrics_service_pb2,
    stats_service_pb2,
    webhook_service_pb2,
)
#: Their full names.
SERVICES = tuple(
    service.full_name for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()
)


class Servicers(NamedTuple):
    """All but the one of access, which asks what all are behind."""

    tasks: task_service_pb2_grpc.TaskServiceServicer
    servers: server_service_pb2_grpc.ServerServiceServicer
    queue: queue_service_pb2_grpc.QueueServiceServicer
    workers: worker_service_pb2_grpc.WorkerServiceServicer
    metrics: MetricsServicer
    stats: stats_service_pb2_grpc.StatsServiceServicer
    webhooks: webhook_service_pb2_grpc.WebhookServiceServicer

    def add_to(self, server: Any, access: access_service_pb2_grpc.AccessServiceServicer) -> None:
        """Has a server, or a channel in this process, answer by them."""
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(self.tasks, server)
        server_service_pb2_grpc.add_ServerServiceServicer_to_server(self.servers, server)
        queue_service_pb2_grpc.add_QueueServiceServicer_to_server(self.queue, server)
        worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(self.workers, server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(self.metrics, server)
        stats_service_pb2_grpc.add_StatsServiceServicer_to_server(self.stats, server)
        webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server(self.webhooks, server)
        access_service_pb2_grpc.add_AccessServiceServicer_to_server(access, server)
