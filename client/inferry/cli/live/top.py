"""The command that shows servers, slots, queue and rates, live."""

import sys
import threading
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from inferry.cli import output
from inferry.cli.live.look import Look, picture, print_look
from inferry.cli.live.rates import Rates
from inferry.cli.servers import all_servers
from inferry.cli.session import Session, connected, wait_for_gateway
from inferry.client.errors import InferryError
from inferry.client.patience import Absence
from inferry.client.sync.watching import changes
from inferry.v1.queue_service_pb2 import GetQueueRequest
from inferry.v1.task_service_pb2 import WatchTasksRequest

#: Between two looks: one a second at most.
_PAUSE_S = 1.0


def top(
    context: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="One look, without rates.")] = False,
) -> None:
    """Show servers, slots, queue and rates, live, until Ctrl-C. In a pipe: one look."""
    with connected(context) as session:
        if not output.OUT.is_terminal:
            print_look(_look(session))
        elif once:
            look = _look(session)
            output.OUT.print(picture(look, output.OUT.height), soft_wrap=False)
        else:
            _watch(session)


def _watch(session: Session) -> None:
    console, counter = Console(highlight=False), _Counter(session)
    absence = Absence(session.calls.patience())
    counter.start()
    try:
        with Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stderr=sys.stderr.isatty(),
        ) as live:
            while True:
                try:
                    look = _look(session)
                except InferryError as error:
                    wait_for_gateway(absence, error, counter.stopped.wait)
                    continue
                absence.over()
                look.flow = counter.rates.flow()
                live.update(picture(look, console.height), refresh=True)
                counter.stopped.wait(_PAUSE_S)
                counter.check()
    finally:
        counter.stop()


def _look(session: Session) -> Look:
    return Look(all_servers(session), session.call(session.queue.GetQueue, GetQueueRequest()))


class _Counter:
    """Counts what happens to all tasks, in a thread of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.rates = Rates(time.monotonic)
        #: Set when nothing is counted any longer.
        self.stopped = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="counter", daemon=True)

    def start(self) -> None:
        """Begins to count."""
        self._thread.start()

    def stop(self) -> None:
        """Counts no longer."""
        self.stopped.set()

    def check(self) -> None:
        """Raises what ended the count."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        request = WatchTasksRequest(without_results=True)
        try:
            # The other thread asks the same gateway, and says when it is away.
            for response in changes(self._session.calls, request):
                for event in response.events:
                    self.rates.count(event)
        except BaseException as failure:  # noqa: BLE001 - raised again in the main thread
            self._failure = failure
            self.stopped.set()
