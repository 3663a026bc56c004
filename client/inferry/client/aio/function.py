"""A type of task as a typed function."""

from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar, Unpack

from inferry.client.aio.mapping import OnProgress
from inferry.client.aio.task import AsyncTask
from inferry.client.errors import InferryError
from inferry.client.fitting import fit
from inferry.client.requests import Options

Input = TypeVar("Input")
Output = TypeVar("Output")


class Runner(Protocol):
    """What a function needs of a client."""

    async def run(
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

    async def submit(
        self,
        task_type: str,
        payload: Any = None,
        /,
        *,
        timeout: float | None = None,
        **options: Unpack[Options],
    ) -> AsyncTask:
        """Creates a task."""
        ...

    async def map(
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


class AsyncFunction(Generic[Input, Output]):
    """Runs tasks of one type; ``AsyncClient.function`` makes one.

    >>> @dataclass
    ... class Number:
    ...     n: int
    >>> double = client.function("double", Number, Number)
    >>> await double(Number(4))
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

    async def __call__(
        self,
        given: Input,
        *,
        timeout: float | None = None,
        keep: bool = False,
        **options: Unpack[Options],
    ) -> Output:
        """Runs a task as ``AsyncClient.run`` does.

        Raises:
            InferryError: As ``AsyncClient.run``; ``INVALID_RESULT`` if the result does not fit.
        """
        answer = await self._client.run(
            self._type, self._checked(given), timeout=timeout, keep=keep, **options
        )
        return self._fitting(answer)

    async def submit(self, given: Input, **options: Unpack[Options]) -> AsyncTask:
        """Creates a task as ``AsyncClient.submit`` does; ``read`` reads its result."""
        return await self._client.submit(self._type, self._checked(given), **options)

    async def map(
        self,
        given: Iterable[Input],
        *,
        concurrency: int = 100,
        on_progress: OnProgress | None = None,
        **options: Unpack[Options],
    ) -> list[Output]:
        """Runs a task for each input as ``AsyncClient.map`` does."""
        answers = await self._client.map(
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
