"""What commands share that do the same with all tasks that fit."""

from collections.abc import Callable, Iterator
from typing import Any

from inferry.cli.output import time_of
from inferry.client.paging import Pages

#: Tasks a call, at most.
_PAGE = 1_000
#: How what narrows a request is said, by its field.
_WORDS = {
    "type": "of type",
    "server_id": "of server",
    "code": "with code",
    "tenant": "of tenant",
    "fingerprint": "of the failures",
    "created_since": "created since",
    "finished_since": "ended since",
    "finished_before": "that ended before",
}


def in_pages(
    call: Callable[[Any], Any], request: Any, limit: int | None, count: Callable[[Any], int]
) -> Iterator[Any]:
    """Gives the answers to a request, a page of tasks each, until there are no more.

    Args:
        call: Makes the call.
        request: Of the first page; it is changed.
        limit: Tasks at most; None for all.
        count: Tells how many tasks an answer is about.

    Raises:
        InferryError: The gateway refuses or cannot be reached; its list has no end.
    """
    done, pages, more = 0, Pages(), True
    request.page_token = ""
    while more and (limit is None or done < limit):
        request.limit = _PAGE if limit is None else min(_PAGE, limit - done)
        answer = call(request)
        done += count(answer)
        yield answer
        more = pages.turn(request, answer.next_page_token)


def narrowed(request: Any) -> str:
    """Says which tasks a request means, behind what they are called; empty for all."""
    words = []
    said_of = {field.name: value for field, value in request.ListFields()}
    for field, what in _WORDS.items():
        if field in said_of:
            value = said_of[field] if isinstance(said_of[field], str) else time_of(request, field)
            words.append(f"{what} {value}")
    words += (f"with {key}={value}" for key, value in sorted(request.labels.items()))
    return "".join(f" {word}" for word in words)


def said(done: int, what: str) -> str:
    """Says to how many tasks something was done."""
    return f"{done:,} {'task was' if done == 1 else 'tasks were'} {what}"
