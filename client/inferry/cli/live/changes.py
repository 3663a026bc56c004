"""What happens to many tasks, without a gap even if the gateway restarts meanwhile."""

from collections.abc import Iterator
from typing import cast

import grpc

from inferry.cli.patience import Patience
from inferry.cli.session import Session
from inferry.v1.task_service_pb2 import WatchTasksRequest, WatchTasksResponse


def changes(
    session: Session, request: WatchTasksRequest, patience: Patience
) -> Iterator[WatchTasksResponse]:
    """Gives first the tasks as they are, and then each change, for ever.

    A stream that breaks goes on at its cursor. If it breaks before it had one, all is shown again:
    the first response then says ``restarted``.

    Args:
        session: The way to the gateway.
        request: What to watch. Its cursor is moved on.
        patience: For a gateway that goes away.

    Raises:
        RpcError: The gateway refuses, or stays away.
    """
    told = False
    while True:
        call = session.tasks.WatchTasks(request, metadata=session.metadata)
        again = told and not request.cursor
        try:
            for response in call:
                response.restarted |= again
                again, told = False, True
                request.cursor = response.cursor or request.cursor
                patience.renew()
                yield response
            # It has no end of its own: somebody on the way made one.
            error = cast("grpc.RpcError", call)
        except grpc.RpcError as broken:
            if not told:
                raise
            error = broken
        finally:
            call.cancel()
        patience.wait(error)
