"""The command that tells why a task runs where it runs, or why it does not run."""

import time
from collections.abc import Mapping
from itertools import compress

import typer
from rich.table import Table
from rich.text import Text

from inferry.cli import output
from inferry.cli.output import NOTHING, moment_of, plain
from inferry.cli.session import connected
from inferry.cli.tasks import AsJson, TaskId
from inferry.cli.terminal import say
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import ExplainTaskRequest, ExplainTaskResponse, ServerVerdict

Reason = ExplainTaskResponse.Reason
Rule = ServerVerdict.Rule

_HEAD = ("SERVER", "RULE", "WHY", "WHAT WOULD CHANGE IT", "UNTIL")

#: Nothing to do, wait, do something; and what is most often beside the point.
_FINE, _WAIT, _ACT, _ASIDE = "green", "yellow", "red", "dim"

_BY_REASON: Mapping[Reason.ValueType, str] = {
    ExplainTaskResponse.PAUSED: _ACT,
    ExplainTaskResponse.NO_SERVER: _ACT,
    ExplainTaskResponse.DELAYED: _WAIT,
    ExplainTaskResponse.NO_FREE_SERVER: _WAIT,
    ExplainTaskResponse.BEHIND_OTHERS: _WAIT,
}
_BY_RULE: Mapping[Rule.ValueType, str] = {
    ServerVerdict.ELIGIBLE: _FINE,
    ServerVerdict.NOT_CAPABLE: _ASIDE,
    ServerVerdict.FULL: _WAIT,
    ServerVerdict.RESTING: _WAIT,
    ServerVerdict.BREAKER_OPEN: _WAIT,
}


def explain(context: typer.Context, task_id: TaskId, *, as_json: AsJson = False) -> None:
    """Tell why a task runs where it runs, or why it does not run and what would change that."""
    with connected(context) as session:
        answer = session.call(session.tasks.ExplainTask, ExplainTaskRequest(id=task_id))
    if as_json:
        output.print_json(output.document(answer))
    elif output.OUT.is_terminal:
        _draw(answer, time.time())
    else:
        _print(answer, time.time())


def _draw(answer: ExplainTaskResponse, now_s: float) -> None:
    """Says the reason first, in its colour, and then what each server makes of the task."""
    reason = Text(
        Reason.Name(answer.reason).replace("_", " "), _BY_REASON.get(answer.reason, _FINE)
    )
    reason.stylize("bold")
    head = Text.assemble(answer.id, "  ", Task.Status.Name(answer.status), "  ", reason)
    output.OUT.print(head, soft_wrap=False)
    place = output.place(answer, now_s)
    for text in (answer.text, answer.remedy and f"→ {answer.remedy}", place.capitalize()):
        if text:
            output.OUT.print(Text(plain(text)), soft_wrap=False)
    if not answer.servers:
        return
    rows = [_row(verdict, now_s) for verdict in answer.servers]
    says = [any(cell != NOTHING for cell in column) for column in zip(*rows, strict=True)]
    table = Table(*compress(_HEAD, says), box=None, pad_edge=False)
    for verdict, (server, rule, *rest) in zip(answer.servers, rows, strict=True):
        colour = _BY_RULE.get(verdict.rule, _ACT)
        cells = [Text(server), Text(rule, colour), *map(Text, rest)]
        table.add_row(*compress(cells, says))
    output.OUT.print()
    output.OUT.print(table, soft_wrap=False)


def _print(answer: ExplainTaskResponse, now_s: float) -> None:
    fields = output.document(answer)
    del fields["servers"]
    output.print_fields(fields)
    if answer.servers:
        say()
        output.print_rows(_HEAD, [_row(verdict, now_s) for verdict in answer.servers])


def _row(verdict: ServerVerdict, now_s: float) -> list[str]:
    cells = [
        verdict.name or verdict.server_id,
        Rule.Name(verdict.rule),
        verdict.text or NOTHING,
        verdict.remedy or NOTHING,
        moment_of(verdict, "until", now_s),
    ]
    return [plain(cell) for cell in cells]
