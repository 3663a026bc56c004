"""What is said while a command waits for a task: what holds it up, and that it outlives Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from inferry.cli.output import plain
from inferry.cli.session import Session
from inferry.cli.terminal import say
from inferry.client.errors import InferryError
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import ExplainTaskRequest, ExplainTaskResponse

#: What ends sooner is not asked about.
_FIRST_LOOK_S = 0.5
_NEXT_LOOK_S = 2.0
_LOOK_TIMEOUT_S = 5.0

#: Nothing holds it up.
_FINE = frozenset(
    {ExplainTaskResponse.ENDED, ExplainTaskResponse.RUNNING, ExplainTaskResponse.NEXT}
)


@contextmanager
def waiting_for(
    session: Session, task_id: str, new: Task | None = None, *, stays: bool = True
) -> Iterator[None]:
    """Says on standard error what holds a task up while the block waits for it.

    Args:
        session: The way to the gateway.
        task_id: The task.
        new: The same, if it was just created: then it says first which it is.
        stays: Whether it waits on when nobody waits for it.
    """
    over, held_up_by = Event(), "" if new is None else new.unserved
    look = Thread(target=_look, args=(session, task_id, held_up_by, over), daemon=True)
    try:
        if new is not None:
            say(task_id, err=True)
            say_held_up(new)
        look.start()
        yield
    except KeyboardInterrupt:
        goes_on = "goes on" if stays else "goes on if a server has it, and is cancelled if none has"
        say(
            f"{task_id} {goes_on}:\n"
            f"  inferry watch {task_id}     shows it\n"
            f"  inferry cancel {task_id}    ends it",
            err=True,
        )
        raise
    finally:
        over.set()


def say_held_up(task: Task) -> None:
    """Says on standard error why a task waits in vain, if it does."""
    if task.unserved:
        _say(task.unserved)


def _say(why: str) -> None:
    say(plain(f"PENDING: {why}"), err=True)


def _look(session: Session, task_id: str, held_up_by: str, over: Event) -> None:
    """Says what holds a task up whenever that is something else, until the wait is over."""
    reason: ExplainTaskResponse.Reason.ValueType | None = None
    pause_s = _FIRST_LOOK_S
    while not over.wait(pause_s):
        pause_s = _NEXT_LOOK_S
        try:
            request = ExplainTaskRequest(id=task_id)
            found = session.call(session.tasks.ExplainTask, request, _LOOK_TIMEOUT_S)
        except (InferryError, ValueError):
            # Whoever waits says that the gateway is away; gRPC says by a ValueError that it closes.
            continue
        why = f"{found.text}; {found.remedy}" if found.remedy else found.text
        if found.reason not in {reason, *_FINE} and why != held_up_by and not over.is_set():
            _say(why)
        reason, held_up_by = found.reason, ""
