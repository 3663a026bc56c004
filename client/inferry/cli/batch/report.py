"""What a run over many lines says: an answer a line, where it stands, and how it ended."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from inferry.cli import output
from inferry.cli.batch.create import Answer
from inferry.cli.exit_codes import ExitCode
from inferry.cli.output import document, plain, print_json_line
from inferry.cli.terminal import say
from inferry.v1.task_pb2 import Task
from inferry.v1.task_service_pb2 import TaskRefusal

#: Without a terminal, where it stands is said no more often.
_EVERY_S = 5.0
#: Reasons why tasks wait that are said.
_REASONS = 10

Paint = Callable[[], None]


class Report:
    """Counts what became of the lines, and prints it.

    Args:
        as_json: Answers are JSON.
        follows: The answer for a line is the end of its task; else it is its creation.
        monotonic_s: The clock.
    """

    def __init__(
        self, *, as_json: bool, follows: bool, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._as_json = as_json
        self._follows = follows
        self._monotonic_s = monotonic_s
        #: The main thread creates, another one follows.
        self._lock = threading.RLock()
        #: The lines of each task that is followed; two lines may name the same request.
        self._lines: dict[str, list[int]] = {}
        #: How many lines there are, if that is known.
        self._total: int | None = None
        self._ends: Counter[str] = Counter()
        #: Why tasks wait, each as it was said.
        self._held_up_by: set[str] = set()
        #: Tasks that were created, by this run or an earlier one of the same name.
        self.created = 0
        self._replayed = 0
        self._refused = 0
        self._gone = 0
        #: The last line that was answered.
        self.last_line = 0
        self._paint: Paint = lambda: None

    @property
    def answered(self) -> int:
        """Lines that need no more."""
        ended = self._ends.total() + self._gone if self._follows else self.created
        return ended + self._refused

    @property
    def lines(self) -> int:
        """Lines so far."""
        return self.created + self._refused

    def take(self, answer: Answer) -> None:
        """Takes the gateway's answer for a line."""
        line, result = answer
        if result.HasField("refusal"):
            refusal = result.refusal
            self.refuse(line, f"{refusal.error} ({refusal.code})", refusal)
            return
        with self._lock:
            self.created += 1
            self.last_line = max(self.last_line, line)
            self._replayed += result.replayed
            task = result.task
            if self._follows:
                self._lines.setdefault(task.id, []).append(line)
            elif self._as_json:
                print_json_line({"line": line, "task": document(task)})
            else:
                say(task.id)
            self._note_held_up(line, task)

    def refuse(self, line: int, why: str, refusal: TaskRefusal | None = None) -> None:
        """Takes a line of which there will be no task."""
        with self._lock:
            self._refused += 1
            self.last_line = max(self.last_line, line)
            say(plain(f"line {line}: {why}"), err=True)
            if self._as_json:
                told = refusal or TaskRefusal(code="INVALID_PAYLOAD", error=why)
                print_json_line({"line": line, "refusal": document(told)})

    def _note_held_up(self, line: int, task: Task) -> None:
        """Says why a task waits in vain, once for all that do so for the same reason."""
        why = task.unserved
        if why and why not in self._held_up_by and len(self._held_up_by) < _REASONS:
            self._held_up_by.add(why)
            say(plain(f"line {line}, and all like it: PENDING: {why}"), err=True)

    def end(self, task: Task) -> None:
        """Takes a task that ended."""
        with self._lock:
            for line in self._lines.pop(task.id, ()):
                self._ends[Task.Status.Name(task.status)] += 1
                if self._as_json:
                    print_json_line({"line": line, "task": document(task)})
                else:
                    _print_end(line, task)

    def lose(self, task_id: str) -> None:
        """Takes a task that is not there any longer."""
        with self._lock:
            for line in self._lines.pop(task_id, ()):
                self._gone += 1
                say(f"line {line}: {task_id} is gone, and how it ended with it", err=True)

    def full(self, waiting: int, pause_s: float) -> None:
        """Takes that the queue has no room now."""
        one = "1 task waits" if waiting == 1 else f"{waiting:,} tasks wait"
        say(f"the queue is full: {one}, tries again in {pause_s:g} s", err=True)

    def summary(self) -> str:
        """Says in a line what became of all."""
        with self._lock:
            created = f"{self.created:,} {'task' if self.created == 1 else 'tasks'} created"
            counts = {
                "by an earlier run": self._replayed,
                **self._ends,
                "gone": self._gone,
                "refused": self._refused,
            }
            return ", ".join([created, *(f"{n:,} {word}" for word, n in counts.items() if n)])

    def exit_code(self) -> ExitCode:
        """Gives the exit status: the worst that became of a line."""
        if self._ends["FAILED"]:
            return ExitCode.FAILED
        if self._ends["TIMEOUT"] or self._ends["CANCELLED"]:
            return ExitCode.STOPPED
        return ExitCode.REFUSED if self._refused or self._gone else ExitCode.DONE

    def paint(self) -> None:
        """Shows where it stands now."""
        self._paint()

    def read_all(self) -> None:
        """Takes that there are no more lines."""
        self._total = self.lines
        self.paint()

    @contextmanager
    def painted(self, count: Callable[[], int | None], more: Callable[[], float]) -> Iterator[None]:
        """Shows where it stands on standard error while the block runs: a bar, or a line a while.

        Args:
            count: Tells how many lines there are, if that can be known.
            more: How much of the tasks that have not ended is done; each is 1.
        """
        console = Console(stderr=True)
        if not console.is_terminal:
            self._paint = self._teller()
            yield
            return
        self._total = count()
        columns = (
            # So that all of it fits 80 columns.
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        # What goes to standard output goes there, and not to the terminal of the bar.
        with Progress(*columns, console=console, redirect_stdout=output.OUT.is_terminal) as bar:
            row = bar.add_task("", total=self._total)

            def draw() -> None:
                done = self.answered + more()
                bar.update(row, completed=done, total=self._total, description=self.summary())

            self._paint = draw
            yield

    def _teller(self) -> Paint:
        last_s = self._monotonic_s()

        def tell() -> None:
            nonlocal last_s
            if self._monotonic_s() - last_s >= _EVERY_S:
                last_s = self._monotonic_s()
                say(self.summary(), err=True)

        return tell


def _print_end(line: int, task: Task) -> None:
    done = task.status == Task.COMPLETED
    text = task.result_json.decode() if done else f"{task.error} ({task.code})"
    row = "\t".join([str(line), task.id, Task.Status.Name(task.status), plain(text)])
    if output.OUT.is_terminal:
        # A line each: whoever wants all of it asks for JSON, or writes it to a file.
        output.OUT.print(Text(row), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    else:
        say(row)
