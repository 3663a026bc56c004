"""What the answer to ``POST /process`` means for a task. Pure.

What a backend says in it is read as in a callback; here is what HTTP adds.
"""

from inferry.server.errors import InferryError
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept, Input
from inferry.server.task.record import AttemptOutcome
from inferry.server.task.reports import ReportRules, meaning, report_of
from inferry.v1.task_pb2 import Task
from inferry.wire.callback_token import redact
from inferry.wire.errors import FieldError
from inferry.wire.words import Words, read_words

#: Bytes of an answer that an error quotes.
_QUOTED = 200
_UNDER_WAY = frozenset({Task.PENDING, Task.PROCESSING})
_UNSUCCESSFUL = frozenset({Task.FAILED, Task.TIMEOUT, Task.CANCELLED})


def read_answer(
    status: int,
    body: bytes,
    retry_after_ms: int | None,
    rules: ReportRules,
    *,
    asynchronous: bool,
) -> Input | Failure:
    """Tells what the answer to a dispatch means (guide: "Task Processing").

    Args:
        status: Of HTTP.
        body: Whatever came.
        retry_after_ms: From the ``Retry-After`` header.
        rules: What a report may hold.
        asynchronous: Whether there was a callback URL.
    """
    flaw = ""
    try:
        words = read_words(body)
    except FieldError as error:
        words, flaw = Words(), str(error)
    update = words.update
    if status in (429, 503):
        reason = update.error or f"the server answered {status}"
        return Failure(AttemptOutcome.REFUSED, reason, retry_after_ms=retry_after_ms)
    if status in (502, 504):
        return Failure(AttemptOutcome.AMBIGUOUS, f"the server answered {status}")
    if update.error and not update.status:
        update.status = Task.FAILED
    well = 200 <= status < 300  # noqa: PLR2004  # the 2xx class
    if update.status in _UNSUCCESSFUL or (well and update.status == Task.COMPLETED):
        return _end(words, rules, retry_after_ms)
    if well and asynchronous and update.status in _UNDER_WAY:
        return Accept(update.message if update.HasField("message") else None)
    flaw = flaw or _flaw(words, asynchronous=asynchronous)
    excerpt = redact(body[:_QUOTED]).decode("utf-8", "replace").strip() or "nothing"
    return Failure(AttemptOutcome.REJECTED, f"the server answered {status} with {flaw}: {excerpt}")


def _end(words: Words, rules: ReportRules, retry_after_ms: int | None) -> Input | Failure:
    try:
        end = meaning(report_of(words.update, rules, words.notes))
    except InferryError as error:
        return Failure(AttemptOutcome.REJECTED, error.message, error.code)
    return end._replace(retry_after_ms=retry_after_ms) if isinstance(end, Failure) else end


def _flaw(words: Words, *, asynchronous: bool) -> str:
    """Tells what is wrong with an answer that is JSON and yet no answer."""
    expected = '"success", "error" or "accepted"' if asynchronous else '"success" or "error"'
    if words.update.status in _UNDER_WAY and not asynchronous:
        return f"the status {words.status} though it had no callback_url; right is {expected}"
    if words.update.status:
        return f"the status {words.status}; right with that is 200"
    if words.status:
        return f"the status {words.status}; right is {expected}"
    return f"no status; right is {expected}"
