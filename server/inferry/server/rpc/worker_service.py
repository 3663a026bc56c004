"""WorkerService: a worker's stream, from its hello to its end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import structlog
from google.protobuf.unknown_fields import UnknownFieldSet

from inferry.server.access.tokens import Principal, TokenVerifier, Verified
from inferry.server.carriers.worker.crew import Crew
from inferry.server.carriers.worker.inbox import Inbox
from inferry.server.carriers.worker.rules import PROTOCOL
from inferry.server.carriers.worker.session import Session
from inferry.server.clock import Clock
from inferry.server.engine.registry import Registration, Registry
from inferry.server.errors import (
    InferryError,
    InvalidPayloadError,
    PermissionDeniedError,
    UnavailableError,
    UnsupportedProtocolError,
)
from inferry.server.fleet.member import Member
from inferry.server.fleet.record import Transport
from inferry.server.rpc.admission import bearer_of, caller
from inferry.server.rpc.permissions import PERMISSIONS
from inferry.server.rpc.registrations import said_by
from inferry.server.rpc.requests import check_request
from inferry.server.rpc.task_requests import labels_of
from inferry.v1 import worker_service_pb2_grpc
from inferry.v1.worker_pb2 import GatewayMessage, WorkerHello, WorkerMessage

CONNECT = "/inferry.v1.WorkerService/Connect"
#: How long the hello may take to come.
_HELLO_S = 10.0

_log = structlog.get_logger(__name__)

#: What grpc.aio and the in-process channel pass; the generated stubs name no common type.
Context = Any


class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """Brings streams and workers together.

    Args:
        registry: Takes workers into the list of servers.
        crew: The workers.
        inbox: Takes what they say.
        verifier: Tells who a token stands for, and until when.
        clock: The time.
        wall: The clock that tokens go by.
        usual_slots: Tasks at once of a worker that does not say.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        crew: Crew,
        inbox: Inbox,
        verifier: TokenVerifier,
        clock: Clock,
        wall: Clock,
        usual_slots: int,
    ) -> None:
        self._registry = registry
        self._crew = crew
        self._inbox = inbox
        self._verifier = verifier
        self._clock = clock
        self._wall = wall
        self._usual_slots = usual_slots

    async def Connect(
        self, request_iterator: AsyncIterator[WorkerMessage], context: Context
    ) -> AsyncGenerator[GatewayMessage, None]:
        """Connects a worker until its stream ends, in whichever way."""
        who = caller()
        verified = self._verifier.check(bearer_of(context.invocation_metadata()))
        loop = asyncio.get_running_loop()
        hello: asyncio.Future[WorkerHello] = loop.create_future()
        opened: asyncio.Future[Session] = loop.create_future()
        # The only one who reads: a read is never cut short by a time.
        reader = asyncio.create_task(self._read(request_iterator, who, hello, opened))
        session, closed = None, False
        try:
            said = await _within(hello, _HELLO_S)
            member = await self._register(said, who.tenant)
            task = asyncio.current_task()
            give_up = task.cancel if task is not None else reader.cancel
            session = self._crew.connect(member, said, self._ends_ms(verified), give_up)
            opened.set_result(session)
            async with aclosing(self._crew.messages(session)) as messages:
                async for message in messages:
                    yield message
            # Where the connection breaks, this call is cancelled.
            closed = True
        finally:
            if session is not None:
                self._crew.disconnect(session, closed=closed)
            opened.cancel()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(
        self,
        messages: AsyncIterator[WorkerMessage],
        who: Principal,
        hello: asyncio.Future[WorkerHello],
        opened: asyncio.Future[Session],
    ) -> None:
        error: InferryError | None = None
        try:
            async for message in messages:
                if not hello.done():
                    hello.set_result(_hello_of(message))
                    session = await opened
                else:
                    session = opened.result()
                    session.skipped += message.HasField("hello")
                session.skipped += len(UnknownFieldSet(message))
                if message.token:
                    self._renew(session, who, message.token)
                await self._inbox.receive(session, message)
        except InferryError as refusal:
            error = refusal
        except Exception:  # noqa: BLE001  # whatever it was, the stream must end
            _log.exception("a worker's stream broke")
            error = InferryError("internal error")
        finally:
            _end(error, hello, opened)

    async def _register(self, hello: WorkerHello, tenant: str) -> Member:
        if hello.protocol_version != PROTOCOL:
            raise UnsupportedProtocolError(
                f"protocol_version: {hello.protocol_version}; this gateway speaks {PROTOCOL}"
            )
        check_request(hello)
        said = said_by(hello, self._usual_slots)
        return await self._registry.register(
            Registration(
                url="",
                name=said.name,
                capabilities=said.capabilities,
                max_concurrent=said.max_concurrent,
                metadata=said.metadata,
                private_allowed=False,
                transport=Transport.GRPC,
                tenant=tenant,
                labels=labels_of(hello.labels),
            )
        )

    def _renew(self, session: Session, who: Principal, token: str) -> None:
        """Takes another token: whose it is must not change, nor that it may connect."""
        verified = self._verifier.check(token)
        renewed = verified.principal
        if renewed.tenant != who.tenant:
            raise PermissionDeniedError("token: it is another tenant's; connect anew with it")
        if renewed.roles.isdisjoint(PERMISSIONS[CONNECT]):
            raise PermissionDeniedError("token: its role may not connect workers")
        self._crew.renew(session, self._ends_ms(verified))

    def _ends_ms(self, verified: Verified) -> int:
        """Tells when a token ends by the gateway's time: it goes by the wall's itself."""
        return self._clock.now_ms() + int(verified.expires_ms) - self._wall.now_ms()


def _hello_of(message: WorkerMessage) -> WorkerHello:
    if not message.HasField("hello"):
        raise InvalidPayloadError("hello: missing in the first message")
    return message.hello


async def _within(hello: "asyncio.Future[WorkerHello]", within_s: float) -> WorkerHello:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            return await hello
    raise UnavailableError(f"no hello came within {within_s:g} s")


def _end(
    error: InferryError | None,
    hello: "asyncio.Future[WorkerHello]",
    opened: "asyncio.Future[Session]",
) -> None:
    """Nothing more comes, or what came was wrong: the stream ends as well."""
    if opened.done() and not opened.cancelled():
        opened.result().end(error)
    elif not hello.done():
        hello.set_exception(error or InvalidPayloadError("hello: the stream ended without one"))
