"""Stream URLs: with one, whoever has it watches one task for a while, and can do nothing else."""

import asyncio
from collections.abc import AsyncGenerator

from inferry.server.access.ticket import TicketSigner, expired
from inferry.server.access.tokens import TokenVerifier
from inferry.server.clock import Clock
from inferry.server.engine.reader import Reader, Step
from inferry.server.rpc.admission import Metadata, bearer_of, visible_tenant
from inferry.server.rpc.convert import timestamp
from inferry.v1 import task_service_pb2 as pb

#: How long one holds unless it is said.
_TTL_MS = 900_000


class StreamUrls:
    """Makes them, and bounds the streams that they open.

    Args:
        signer: Makes and verifies their tickets.
        verifier: Tells until when a caller's token holds.
        reader: Reads tasks.
        wall: The machine's wall clock.
        public_url: Where REST is.
    """

    def __init__(
        self,
        *,
        signer: TicketSigner,
        verifier: TokenVerifier,
        reader: Reader,
        wall: Clock,
        public_url: str,
    ) -> None:
        self._signer = signer
        self._verifier = verifier
        self._reader = reader
        self._wall = wall
        self._prefix = f"{public_url.rstrip('/')}/api/tasks/"

    async def create(
        self, request: pb.CreateStreamUrlRequest, metadata: Metadata | None
    ) -> pb.CreateStreamUrlResponse:
        """Makes one for a task that the caller may see; it holds no longer than their token."""
        record = await self._reader.task(request.id, visible_tenant())
        token_until_ms = self._verifier.check(bearer_of(metadata)).expires_ms
        until_ms = min(self._wall.now_ms() + (request.ttl_ms or _TTL_MS), int(token_until_ms))
        ticket = self._signer.ticket(record.spec.id, until_ms)
        url = f"{self._prefix}{record.spec.id}/events?ticket={ticket}"
        return pb.CreateStreamUrlResponse(url=url, expires_at=timestamp(until_ms))

    def tenant_of(self, request: pb.WatchTaskRequest) -> str | None:
        """Tells whose task a watch may be of; None for anybody's.

        Raises:
            InferryError: The ticket does not hold, or there is none and nobody knows the caller.
        """
        if not request.ticket:
            return visible_tenant()
        self._signer.left_s(request.id, request.ticket)
        return None

    async def step(
        self, request: pb.WatchTaskRequest, steps: AsyncGenerator[Step, None]
    ) -> Step | None:
        """Waits for the next step of a watch; None at its end.

        Raises:
            UnauthenticatedError: Its ticket has expired.
        """
        if not request.ticket:
            return await anext(steps, None)
        left_s = self._signer.left_s(request.id, request.ticket)
        try:
            async with asyncio.timeout(left_s) as limit:
                return await anext(steps, None)
        except TimeoutError:
            if not limit.expired():
                raise
        # Our timer may be a moment ahead of the wall.
        raise expired()
