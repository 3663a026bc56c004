"""A command's way to the gateway: that of the client, and what its refusals mean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import grpc
import typer

from inferry.cli.access import Access
from inferry.cli.exit_codes import ExitCode
from inferry.cli.terminal import say
from inferry.client.config import Settings, read_settings
from inferry.client.errors import InferryError, InvalidRequest, Unavailable
from inferry.client.patience import Absence, Patience
from inferry.client.sync.calls import Calls
from inferry.client.sync.machinery import open_channel
from inferry.v1.access_service_pb2_grpc import AccessServiceStub
from inferry.v1.queue_service_pb2_grpc import QueueServiceStub
from inferry.v1.server_service_pb2_grpc import ServerServiceStub
from inferry.v1.stats_service_pb2_grpc import StatsServiceStub
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from inferry.v1.webhook_service_pb2_grpc import WebhookServiceStub

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

#: How long an answer that needs no waiting may take.
CALL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Session:
    """The stubs, and the way that calls go. A person sees at once what is: nothing is repeated."""

    calls: Calls

    @property
    def tasks(self) -> TaskServiceStub:
        """The tasks."""
        return self.calls.here().stubs.tasks

    @property
    def servers(self) -> ServerServiceStub:
        """The servers."""
        return self.calls.here().stubs.servers

    @property
    def queue(self) -> QueueServiceStub:
        """The queue."""
        return self.calls.here().stubs.queue

    @property
    def access(self) -> AccessServiceStub:
        """Codes."""
        return self.calls.here().stubs.access

    @property
    def webhooks(self) -> WebhookServiceStub:
        """The webhooks."""
        return self.calls.here().stubs.webhooks

    @property
    def stats(self) -> StatsServiceStub:
        """What happened over time."""
        return self.calls.here().stubs.stats

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Asked, Answered]",
        request: Asked,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> Answered:
        """Calls a method of one answer; ``timeout_s`` None waits as long as it takes.

        Raises:
            InferryError: The gateway refused or cannot be reached.
        """
        return self.calls.ask(lambda _: method, request, Patience(timeout_s, 0))


@contextmanager
def connected(context: typer.Context) -> Iterator[Session]:
    """Gives a command its session, and turns the gateway's refusals into exit statuses."""
    access: Access = context.obj
    session = Session(Calls(_settings(access), access.open_channel or open_channel))
    try:
        yield session
    except InferryError as error:
        say(_explain(error), err=True)
        unreachable = isinstance(error, Unavailable)
        raise typer.Exit(ExitCode.UNREACHABLE if unreachable else ExitCode.REFUSED) from None
    finally:
        session.calls.close()


def say_away(error: InferryError, pause_s: float) -> None:
    """Says on standard error that the gateway is away, and when it is tried again."""
    say(f"the gateway is away, tries again in {pause_s:.1f} s: {error}", err=True)


def wait_for_gateway(
    absence: Absence, error: InferryError, sleep: Callable[[float], object]
) -> None:
    """Waits before the next try, and says so.

    Args:
        absence: How long the gateway is away.
        error: What the last try ended with.
        sleep: Waits for some seconds, or less if nobody waits any longer.

    Raises:
        InferryError: The same again would do no better, or the gateway is away for too long.
    """
    pause_s = absence.pause_s(error)
    if pause_s is None:
        raise error
    say_away(error, pause_s)
    sleep(pause_s)


def settings_of(access: Access) -> Settings:
    """Finds where the gateway is, and the token if one is given or in the settings file.

    Raises:
        BadParameter: The settings file or that of the authorities cannot be used.
    """
    tls = access.authorities or access.tls
    try:
        return read_settings(access.address, access.token, tls, CALL_TIMEOUT_S, 0)
    except InvalidRequest as error:
        raise typer.BadParameter(str(error)) from None


def _settings(access: Access) -> Settings:
    """Finds where the gateway is, and a token for it.

    Raises:
        BadParameter: The settings file cannot be used.
        Exit: There is no token.
    """
    settings = settings_of(access)
    token = settings.token or _local_token(settings.address.rpartition(":")[0], access.data_dir)
    if token is None:
        say(
            "no token: give --token or INFERRY_TOKEN or, on the gateway's machine, its --data-dir; "
            "`inferry token` makes one there",
            err=True,
        )
        raise typer.Exit(ExitCode.REFUSED)
    return replace(settings, token=token)


def _local_token(host: str, data_dir: Path | None) -> str | None:
    # Read when it is needed: what makes tokens takes longer to load than all else of a command.
    token: str | None = import_module("inferry.cli.tokens").local_token(host, data_dir)
    return token


def _explain(error: InferryError) -> str:
    if isinstance(error, Unavailable) and not error.refused:
        return f"{error} --address or INFERRY_ADDRESS says where"
    return f"refused: {error} ({error.code})"
