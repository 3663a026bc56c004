"""Calls of one answer: with a token, within a time, and again where that is safe and may help."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import grpc

from inferry.client.aio.connection import Connection
from inferry.client.aio.machinery import Channel, Home, Stubs, open_channel, sleep
from inferry.client.config import Settings
from inferry.client.errors import InferryError
from inferry.client.failures import call_error, legible
from inferry.client.patience import Patience

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Calls:
    """The way to the gateway of one client.

    Args:
        settings: Where it is, and the rest.
        opened: Opens a channel.
    """

    def __init__(
        self, settings: Settings, opened: Callable[[Settings], Channel] = open_channel
    ) -> None:
        self.settings = settings
        self._home = Home(lambda: Connection(settings, opened(settings)))
        self._closed = False

    def here(self) -> Connection:
        """Gives the connection to use; it is opened where there is none yet.

        Raises:
            RuntimeError: The client was closed.
        """
        if self._closed:
            raise RuntimeError("this client is closed: make another one")
        return self._home.here()

    def patience(self, timeout_s: float | None = None) -> Patience:
        """Gives what an operation has by default, or in so much time."""
        settings = self.settings
        return Patience(settings.timeout_s if timeout_s is None else timeout_s, settings.retries)

    async def ask(
        self,
        method: Callable[[Stubs], "grpc.aio.UnaryUnaryMultiCallable[Asked, Answered]"],
        request: Asked,
        patience: Patience | None = None,
        *,
        safe: bool = True,
    ) -> Answered:
        """Calls a method.

        Args:
            method: Picks it.
            request: What it takes.
            patience: How long it may take and how often it is tried again.
            safe: Whether a second call does no harm if the first one was heard.

        Raises:
            InferryError: The gateway refused, or cannot be reached.
        """
        patience = patience or self.patience()
        while True:
            try:
                return await self._once(method, request, patience.left_s())
            except InferryError as error:
                pause_s = patience.pause_s(error, safe=safe)
                if pause_s is None:
                    raise
            await sleep(pause_s)

    async def close(self) -> None:
        """Closes the connection that was opened here."""
        self._closed = True
        connection = self._home.leave()
        if connection is not None:
            await connection.close()

    async def _once(
        self,
        method: Callable[[Stubs], "grpc.aio.UnaryUnaryMultiCallable[Asked, Answered]"],
        request: Asked,
        timeout_s: float | None,
    ) -> Answered:
        connection = self.here()
        metadata = await connection.metadata()
        call = method(connection.stubs)
        try:
            answer = await call(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            request_id: str | None = getattr(cast("Any", request), "request_id", None)
            address = self.settings.address
            raise call_error(cast("grpc.Call", error), address, request_id or None) from None
        return legible(answer, self.settings.address)
