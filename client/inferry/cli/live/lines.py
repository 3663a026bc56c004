"""What happens to many tasks, as a line a change: for pipes and programs."""

from collections.abc import Iterable

from inferry.cli.output import document, percent, plain, print_json_line, time_of
from inferry.cli.terminal import say
from inferry.v1.task_pb2 import Task, TaskEvent
from inferry.v1.task_service_pb2 import WatchTasksResponse

#: In the place of a kind of event, of a task that is shown as it is.
_AS_IT_IS = "SHOWN"


def print_json_lines(
    told: Iterable[WatchTasksResponse], only: Task.Status.ValueType | None
) -> None:
    """Prints a line of JSON for each task as it is first, and for each change.

    Args:
        told: What the gateway tells.
        only: Only what has this status then.
    """
    for response in told:
        if response.restarted:
            print_json_line({"restarted": True})
        for task in response.tasks:
            if only in {None, task.status}:
                print_json_line({"task": document(task)})
        for event in response.events:
            if only in {None, event.status}:
                print_json_line({"event": document(event)})


def print_lines(told: Iterable[WatchTasksResponse], only: Task.Status.ValueType | None) -> None:
    """Prints the same as lines with tabs: time, task, what happened, status, progress, words."""
    for response in told:
        for task in response.tasks:
            if only in {None, task.status}:
                _say(time_of(task, "updated_at"), _AS_IT_IS, task)
        for event in response.events:
            if only in {None, event.status}:
                kind = TaskEvent.Kind.Name(event.kind)
                if event.HasField("task"):
                    _say(time_of(event, "time"), kind, event.task)
                else:
                    text = event.message
                    task = Task(id=event.task_id, status=event.status, message=text)
                    task.progress = event.progress
                    _say(time_of(event, "time"), kind, task)


def _say(time: str, kind: str, task: Task) -> None:
    words = [
        time,
        task.id,
        kind,
        Task.Status.Name(task.status),
        percent(task.progress),
        plain(task.error or task.message),
    ]
    say("\t".join(words))
