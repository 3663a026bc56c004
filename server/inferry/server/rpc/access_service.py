"""AccessService: who may call what, before anything is asked."""

from typing import Any

from inferry.server.access.callback import CallbackVerifier
from inferry.server.errors import InvalidPayloadError
from inferry.server.rpc.admission import Admission, caller
from inferry.server.rpc.permissions import PERMISSIONS, Right
from inferry.v1 import access_service_pb2 as pb
from inferry.v1 import access_service_pb2_grpc

Context = Any


class AccessServicer(access_service_pb2_grpc.AccessServiceServicer):
    """Decides as the calls themselves do, by the same table.

    Args:
        admission: Tells who calls, and whether they may.
        callbacks: Verifies the tokens of callbacks.
    """

    def __init__(self, admission: Admission, callbacks: CallbackVerifier) -> None:
        self._admission = admission
        self._callbacks = callbacks

    async def CheckAccess(
        self, request: pb.CheckAccessRequest, context: Context
    ) -> pb.CheckAccessResponse:
        """Answers OK if the caller may make the call that is named."""
        if request.method not in PERMISSIONS:
            raise InvalidPayloadError(f"method: there is no {request.method[:100]!r}")
        if request.token and Right.CALLBACK in PERMISSIONS[request.method]:
            self._callbacks.verify(request.id, request.token)
        else:
            self._admission.rule(request.method)(context.invocation_metadata())
        return pb.CheckAccessResponse()

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Context) -> pb.WhoAmIResponse:
        """Tells who the caller's token stands for."""
        found = caller()
        return pb.WhoAmIResponse(
            subject=found.subject, tenant=found.tenant, roles=sorted(found.roles)
        )
