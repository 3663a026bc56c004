"""The endpoint that takes the reports of backends: the callback."""

import grpc
import grpc.aio
from aiohttp import web

from inferry.bridge.errors import BridgeError
from inferry.bridge.exchange import Call, Exchange, Metadata
from inferry.bridge.transcode import Transcoder
from inferry.v1.task_service_pb2 import UpdateTaskRequest

#: What a report is refused with whose sender may make it: no JSON in time, or too much of it.
_UNREADABLE = frozenset({400, 408, 413, 415})
#: What its sender is told who may not make it.
_STRANGER = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


class Callback:
    """Passes a report on. The token of its URL decides, whatever header comes with it.

    HTTP clients add an ``Authorization`` header unasked: of a ``.netrc``, or the bearer of the
    service that the backend belongs to.
    """

    def __init__(self, transcoder: Transcoder, call: Call) -> None:
        self._transcoder = transcoder
        self._call = call

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with what became of the report."""
        token = exchange.request.rel_url.query.get("token", "")
        metadata = exchange.anonymous_metadata() if token else exchange.metadata()
        # It goes on without its client: a backend may hang up once it has reported.
        try:
            request = await self._transcoder.request(exchange, metadata)
        except BridgeError as refused:
            if refused.status in _UNREADABLE:
                await self._tell(exchange.variables["id"], token, refused, metadata)
            raise
        response = await self._call(request, metadata=metadata)
        return exchange.answer(self._transcoder.plain(response))

    async def _tell(
        self, task_id: str, token: str, refused: BridgeError, metadata: Metadata
    ) -> None:
        """Tells the gateway of a report that comes no further: whoever asks finds it there.

        Raises:
            AioRpcError: Its sender may not make it: that comes first.
        """
        request = UpdateTaskRequest(id=task_id, token=token, unreadable=refused.message)
        try:
            await self._call(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            # Else its answer is that it is refused, too.
            if error.code() in _STRANGER:
                raise
