"""Who calls is asked before a byte of a body is read: a stranger's is worth no work.

Who might send one a moment ago may send the next unasked: the RPC itself decides again.
"""

from hashlib import sha256

import grpc.aio

from inferry.bridge.body import has_body
from inferry.bridge.contract import CALLBACK_RPC
from inferry.bridge.errors import CLOSE
from inferry.bridge.exchange import Call, Exchange, Metadata
from inferry.bridge.lately import Lately
from inferry.bridge.routes import Route
from inferry.bridge.rpc_errors import http_error
from inferry.v1.access_service_pb2 import CheckAccessRequest


class Gate:
    """Asks the gateway whether the requests of a route may be made."""

    def __init__(self, route: Route, check: Call) -> None:
        method = route.method
        self._method = f"/{method.containing_service.full_name}/{method.name}"
        self._reports = route.rpc == CALLBACK_RPC
        self._check = check
        self._admitted = Lately()

    async def ask(self, exchange: Exchange, metadata: Metadata) -> None:
        """Returns if the request may be made. One that has no body need not be asked for.

        Nor need a report that is here whole: the RPC decides before anybody reads it.

        Raises:
            BridgeError: It may not, as the RPC itself would say.
        """
        request = exchange.request
        if not has_body(request) or (self._reports and request.content.is_eof()):
            return
        task_id = token = ""
        if self._reports:
            task_id, token = exchange.variables["id"], request.rel_url.query.get("token", "")
        # Never the tokens themselves: a dump of this memory gives none away.
        caller = [value for key, value in metadata if key == "authorization"]
        right = sha256(repr((task_id, token, caller)).encode()).digest()
        if right in self._admitted:
            return
        asked = CheckAccessRequest(method=self._method, id=task_id, token=token)
        try:
            await self._check(asked, metadata=metadata)
            self._admitted.add(right)
        except grpc.aio.AioRpcError as error:
            refused = http_error(error)
            if not request.content.is_eof():
                # The rest of the body is dropped for a while, but never looked at.
                refused.headers = {**refused.headers, **CLOSE}
            raise refused from None
