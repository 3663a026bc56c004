"""Queries of lists: one statement a page, whatever is asked for."""

from itertools import chain
from typing import Any

from inferry.server.store import TaskFilter
from inferry.server.store.postgres.queries import QUERIES

#: Above every number.
_LAST = 2**63 - 1
#: The number to start below, and the limit.
_GIVEN = 2


def list_query(wanted: TaskFilter, before: int | None, limit: int) -> tuple[str, list[Any]]:
    """Builds the query of one page and its values.

    The indexes for lists begin with the tenant. A list over all tenants is the merge of theirs:
    three more indexes would cost every task more than this costs the few who ask.
    """
    values: list[Any] = [_LAST if before is None else before, limit]
    filters = []
    if wanted.tenant is not None:
        filters.append(f"tenant = ${_GIVEN + 1}")
        values.append(wanted.tenant)
    elif wanted != TaskFilter():
        filters.append("tenant = leap.tenant")
    names = ("status", "type", "server_id", "code")
    columns = [name for name in names if getattr(wanted, name) is not None]
    filters += [f"tasks.{name} = ${len(values) + place}" for place, name in enumerate(columns, 1)]
    values += [getattr(wanted, name) for name in columns]
    if wanted.code is not None:
        filters.append("tasks.code <> ''")
    if not wanted.labels:
        query = QUERIES["tasks"].format(filters=" AND ".join(filters) or "TRUE")
    else:
        filters[0] = f"labels.{filters[0]}"
        filters += _labels(len(wanted.labels), len(values) + 1)
        values += chain.from_iterable(wanted.labels)
        query = QUERIES["labelled"].format(filters=" AND ".join(filters))
    if wanted.tenant is None and wanted != TaskFilter():
        query = QUERIES["of_all_tenants"].format(page=query)
    return query, values


def _labels(count: int, first: int) -> list[str]:
    """Asks for labels whose keys and values are the parameters from the first on."""
    one = f"labels.key = ${first} AND labels.value = ${first + 1}"
    return [one] + [
        "EXISTS (SELECT FROM labels AS more WHERE more.task_number = labels.task_number "
        f"AND more.key = ${place} AND more.value = ${place + 1})"
        for place in range(first + 2, first + 2 * count, 2)
    ]
