"""How many turns it takes until it is a task's, among those of its route. Pure."""

from collections.abc import Collection, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from math import ceil

from inferry.server.queue.flow import Flow, Key

#: Turns that differ by less are equal: sums of 1/weight are not exact.
_EQUAL = 1e-6


def played(flows: Collection[Flow], time: float, now_ms: int) -> Iterator[str]:
    """Yields all tasks in the order in which they are taken if no other comes.

    Args:
        flows: Of all tenants.
        time: Their virtual time (see ``Turns``).
        now_ms: The time.
    """
    tags = {flow: flow.tag for flow in flows}
    heads = [
        (-line.level(now_ms), flow.tag, *line.keys[0], line.number, line, 0)
        for flow in flows
        for line in flow.lines.values()
    ]
    heapify(heads)
    while heads:
        level, tag, since_ms, task_id, number, line, index = heads[0]
        flow = line.flow
        if (latest := tags[flow]) != tag:
            # Another of its lines has had a turn since.
            heapreplace(heads, (level, latest, since_ms, task_id, number, line, index))
            continue
        yield task_id
        time = max(time, tag)
        tag = tags[flow] = time + 1 / flow.weight
        index += 1
        if index < len(line.keys):
            heapreplace(heads, (-line.priority, tag, *line.keys[index], number, line, index))
        else:
            heappop(heads)


def ahead(
    flows: Mapping[str, Flow], time: float, tenant: str, priority: int, key: Key, now_ms: int
) -> int:
    """Estimates how many tasks go before one: a turn of each tenant too many, or too few.

    Those of a higher level do, and of its own level as many as the turns say: between its
    tenant's next turn and its own, each of the others has turns by its weight.
    """
    own = flows[tenant]
    line = own.lines[priority]
    level = line.level(now_ms) if line.keys[0] == key else priority
    total, older = own.contest(level, now_ms, key)
    total += older
    tag = max(own.tag, time) + older / own.weight
    for flow in flows.values():
        if flow is own:
            continue
        higher, rivals = flow.contest(level, now_ms)
        turns = (tag - max(flow.tag, time)) * flow.weight
        if turns < rivals:
            rivals = min(rivals, _turns_within(turns, flow, key))
        total += higher + rivals
    return total


def _turns_within(turns: float, flow: Flow, key: Key) -> int:
    """Counts a flow's whole turns before a task's; one at the same time counts if it is older."""
    whole = round(turns)
    if -_EQUAL < turns - whole < _EQUAL:
        return max(0, whole + (flow.first() < key))
    return max(0, ceil(turns))
