# Made of client/inferry/client/aio/function.py by tools/unasync.py.
"""A type of task as a typed function."""

from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar, Unpack

from inferry.client.errors import InferryError
from inferry.client.fitting import fit
from inferry.client.requests import Options
from inferry.client.sync.mapping import OnProgress
from inferry.client.sync.task import Task

Input = TypeVar("Input")
Output = TypeVar("Output")


class Runner(Protocol):
    """What a function needs of a client."""

    def run(
        self,
        task_type: str,
        payload: Any = None,
        /,
        *,
        timeout: float | None = None,
        keep: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """Runs a task."""
        ...

    def submit(
        self,
        task_type: str,
        payload: Any = None,
        /,
        *,
        timeout: float | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Creates a task."""
        ...

    def map(
        self,
        task_type: str,
        payloads: Iterable[Any],
        /,
        *,
        concurrency: int = 100,
        on_progress: OnProgress | None = None,
        return_exceptions: bool = False,
        **options: Unpack[Options],
    ) -> list[Any]:
        """Runs a task for each payload."""
        ...


class Function(Generic[Input, Output]):
    """Runs tasks of one type; ``Client.function`` makes one.

    >>> @dataclass
    ... class Number:
    ...     n: int
    >>> double = client.function("double", Number, Number)
    >>> double(Number(4))
    Number(n=8)
    """

    def __init__(
        self, client: Runner, task_type: str, takes: type[Input], gives: type[Output]
    ) -> None:
        self._client = client
        self._type = task_type
        self._takes = takes
        self._gives = gives

    def __repr__(self) -> str:
        return f"<{self._type}: {self._takes.__name__} -> {self._gives.__name__}>"

    def __call__(
        self,
        given: Input,
        *,
        timeout: float | None = None,
        keep: bool = False,
        **options: Unpack[Options],
    ) -> Output:
        """Runs a task as ``Client.run`` does.

        Raises:
            InferryError: As ``Client.run``; ``INVALID_RESULT`` if the result does not fit.
        """
        answer = self._client.run(
            self._type, self._checked(given), timeout=timeout, keep=keep, **options
        )
        return self._fitting(answer)

    def submit(self, given: Input, **options: Unpack[Options]) -> Task:
        """Creates a task as ``Client.submit`` does; ``read`` reads its result."""
        return self._client.submit(self._type, self._checked(given), **options)

    def map(
        self,
        given: Iterable[Input],
        *,
        concurrency: int = 100,
        on_progress: OnProgress | None = None,
        **options: Unpack[Options],
    ) -> list[Output]:
        """Runs a task for each input as ``Client.map`` does."""
        answers = self._client.map(
            self._type,
            [self._checked(one) for one in given],
            concurrency=concurrency,
            on_progress=on_progress,
            **options,
        )
        return [self._fitting(answer) for answer in answers]

    def read(self, result: Any) -> Output:
        """Makes a result of what a task of this function ended with."""
        return self._fitting(result)

    def _checked(self, given: Input) -> Input:
        if isinstance(self._takes, type) and not isinstance(given, self._takes):
            raise TypeError(f"{self._type} takes {self._takes.__name__}, got {given!r:.60}")
        return given

    def _fitting(self, answer: Any) -> Output:
        try:
            return fit(self._gives, answer)
        except (ValueError, TypeError) as error:
            text = f"the result of {self._type} is no {self._gives.__name__}: {error}"
            raise InferryError(text, code="INVALID_RESULT") from error
