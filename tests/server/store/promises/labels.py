"""Tasks are found by their labels."""

import orjson
import pytest

from inferry.server.store import Store, TaskFilter
from inferry.server.store.operations import Purge
from inferry.server.task.inputs import Cancel
from tests.server.store.samples import NOW, change, dispatched, do, waiting


class LabelConformance:
    """What a store promises of lists by label."""

    async def test_a_list_has_the_tasks_with_all_labels(self, store: Store) -> None:
        await do(
            store,
            waiting("task_1", labels=b'{"job":"7","team":"a"}'),
            waiting("task_2", labels=b'{"job":"7","team":"b"}'),
            dispatched("task_3", labels=b'{"job":"7"}'),
            waiting("task_4", labels=b'{"job":"7"}', tenant="other"),
            waiting("task_5", labels=b'{"job":"7","team":"a","x":""}', type="ocr"),
            waiting("task_6"),
        )
        job, team = ("job", "7"), ("team", "a")
        for wanted, ids in (
            (TaskFilter("acme", labels=(job,)), [5, 3, 2, 1]),
            (TaskFilter("acme", labels=(job, team)), [5, 1]),
            (TaskFilter("acme", labels=(team, job)), [5, 1]),
            (TaskFilter("acme", type="ocr", labels=(job, team)), [5]),
            (TaskFilter("acme", server_id="srv_1", labels=(job,)), [3]),
            (TaskFilter("acme", labels=(("x", ""),)), [5]),
            (TaskFilter("acme", labels=(("job", "8"),)), []),
            (TaskFilter("acme", labels=(("JOB", "7"),)), []),
            (TaskFilter("other", labels=(job,)), [4]),
            (TaskFilter(labels=(job,)), [5, 4, 3, 2, 1]),
        ):
            found = await store.tasks(wanted, None, 10)
            assert [record.spec.id for _, record in found] == [f"task_{n}" for n in ids], wanted
        first = await store.tasks(TaskFilter("acme", labels=(job,)), None, 2)
        rest = await store.tasks(TaskFilter("acme", labels=(job,)), first[-1][0], 10)
        assert [record.spec.id for _, record in rest] == ["task_2", "task_1"]

    @pytest.mark.parametrize("odd", ["\x00", "a\x00b", "é", "\U0001f980", "a.b", '"', "%"])
    async def test_labels_are_told_apart_whatever_is_in_them(self, store: Store, odd: str) -> None:
        labels = orjson.dumps({odd: "a", "key": odd})
        await do(store, waiting("task_1", labels=labels), waiting("task_2", labels=b'{"key":""}'))
        for pair in ((odd, "a"), ("key", odd)):
            found = await store.tasks(TaskFilter("acme", labels=(pair,)), None, 10)
            assert [record.spec.id for _, record in found] == ["task_1"]

    async def test_a_purge_leaves_no_label(self, store: Store) -> None:
        await do(store, waiting("task_1", labels=b'{"job":"7"}'), change("task_1", Cancel()))
        await do(store, Purge(10 * NOW, 10, 1), waiting("task_2"))
        assert await store.tasks(TaskFilter("acme", labels=(("job", "7"),)), None, 10) == []
