"""AccessService: who may call what, before anything is asked; and codes for tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inferry.server.access.backend_tokens import PublicKey
from inferry.server.access.callback import CallbackVerifier
from inferry.server.access.codes import TokenMaker
from inferry.server.access.tokens import Role, TokenVerifier
from inferry.server.engine.codes import Codes
from inferry.server.errors import InvalidPayloadError, NoOwnTokensError
from inferry.server.rpc.admission import Admission, bearer_of, caller
from inferry.server.rpc.convert import timestamp
from inferry.server.rpc.permissions import PERMISSIONS, Right
from inferry.v1 import access_service_pb2 as pb
from inferry.v1 import access_service_pb2_grpc

Context = Any


@dataclass(frozen=True, slots=True)
class Doors:
    """What makes tokens of codes, and what others verify tokens with."""

    codes: Codes
    #: None where others make the tokens.
    maker: TokenMaker | None
    #: Where REST is.
    url: str
    #: What servers verify with who calls.
    keys: Sequence[PublicKey]


class AccessServicer(access_service_pb2_grpc.AccessServiceServicer):
    """Decides as the calls themselves do, by the same table.

    Args:
        admission: Tells who calls, and whether they may.
        callbacks: Verifies the tokens of callbacks.
        verifier: Tells until when a token holds.
        doors: Changes codes for tokens, and knows the public keys.
    """

    def __init__(
        self,
        admission: Admission,
        callbacks: CallbackVerifier,
        verifier: TokenVerifier,
        doors: Doors,
    ) -> None:
        self._admission = admission
        self._callbacks = callbacks
        self._verifier = verifier
        self._doors = doors

    async def CheckAccess(
        self, request: pb.CheckAccessRequest, context: Context
    ) -> pb.CheckAccessResponse:
        """Answers OK if the caller may make the call that is named."""
        if request.method not in PERMISSIONS:
            raise InvalidPayloadError(f"method: there is no {request.method[:100]!r}")
        if Right.ANYBODY in PERMISSIONS[request.method]:
            return pb.CheckAccessResponse()
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

    async def CreateCode(
        self, request: pb.CreateCodeRequest, context: Context
    ) -> pb.CreateCodeResponse:
        """Makes a code for a token of the caller's kind."""
        self._maker()
        verified = self._verifier.check(bearer_of(context.invocation_metadata()))
        who = verified.principal
        role = Role.ADMIN if Role.ADMIN in who.roles else Role.CLIENT
        code, until_ms = await self._doors.codes.create(
            who.subject, who.tenant, role, int(verified.ends_ms)
        )
        return pb.CreateCodeResponse(code=code, expires_at=timestamp(until_ms), url=self._doors.url)

    async def ExchangeCode(
        self, request: pb.ExchangeCodeRequest, context: Context
    ) -> pb.ExchangeCodeResponse:
        """Changes a code for a token."""
        maker = self._maker()
        kept = await self._doors.codes.exchange(request.code)
        token, expires_ms = maker.make(kept)
        return pb.ExchangeCodeResponse(
            token=token,
            expires_at=timestamp(expires_ms),
            role=kept.role,
            tenant=kept.tenant,
            subject=kept.subject,
        )

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.GetJwksResponse:
        """Tells what servers verify with who calls them."""
        keys = (
            pb.Jwk(kty="OKP", crv="Ed25519", alg="EdDSA", use="sig", kid=key.kid, x=key.x)
            for key in self._doors.keys
        )
        return pb.GetJwksResponse(keys=keys)

    def _maker(self) -> TokenMaker:
        if self._doors.maker is None:
            raise NoOwnTokensError(
                "this gateway takes tokens that others sign (INFERRY_JWT_PUBLIC_KEY) and can make "
                "none: give the page a token"
            )
        return self._doors.maker
