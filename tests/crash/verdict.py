"""What came of a kill loop."""

from collections import Counter
from dataclasses import dataclass
from statistics import median

from tests.crash.history import History


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, and how much there was that could have gone wrong."""

    #: One line each.
    violations: list[str]
    history: History
    #: How many tasks ended how.
    ends: Counter[str]

    def summary(self) -> str:
        """Says it in a few lines."""
        history, restarts_ms = self.history, [1e3 * s for s in self.history.restarts_s or (0.0,)]
        return f"""\
{len(history.kills)} kills: {_counted(Counter(history.kills))}
{len(history.wishes)} creates: {len(history.created)} acknowledged, \
{len(history.unanswered)} broken off
{self.ends.total()} tasks: {_counted(self.ends)}
{len(history.runs)} runs, {len(history.told)} reports, {len(history.watched)} watches, \
{len(history.cancels)} cancels, {len(history.seen)} looks
{_onlooking(history)}
{len({one.id for one in history.heard if one.taken})} ends told to a webhook, in \
{len(history.heard)} messages
restart to serving: {median(restarts_ms):.0f} ms, {max(restarts_ms):.0f} ms at most
{len(self.violations)} violations"""


def _onlooking(history: History) -> str:
    return "; ".join(
        f"{one.where}: {sum(map(len, one.events.values()))} events of {len(one.events)} tasks"
        f" in {one.messages} messages"
        for one in history.onlooking
    )


def _counted(words: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.most_common())
