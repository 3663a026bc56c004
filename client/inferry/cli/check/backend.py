"""The backend that is checked, as a gateway calls it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
from yarl import URL

from inferry.cli.check.callbacks import RULES, Attempt, Callbacks
from inferry.cli.check.finding import BrokenContractError
from inferry.server.carriers.http.answer import read_answer
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Input
from inferry.wire.limits import ENVELOPE_BYTES

#: Bytes of an answer that are read.
_ANSWER_BYTES = RULES.largest + ENVELOPE_BYTES
#: Where nobody listens.
_ELSEWHERE = "http://127.0.0.1:9/api/tasks/task_check"
#: How long a call may take that is no work: a cancel, a health check.
QUICK_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend answered."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One attempt that was brought to the backend."""

    task_id: str
    #: What is reported of it.
    attempt: Attempt
    #: What the answer means; None when it brought no answer in time.
    meaning: Input | Failure | None


class Backend:
    """Calls a backend.

    Args:
        http: Carries the calls.
        url: The backend, without a slash at its end.
        callbacks: Where its callbacks go.
        task_type: Of the tasks that it gets.
    """

    def __init__(
        self, http: aiohttp.ClientSession, url: str, callbacks: Callbacks, task_type: str
    ) -> None:
        self._http = http
        # As a gateway writes it where it is registered.
        self._url = str(URL(url)).rstrip("/")
        self._callbacks = callbacks
        self._type = task_type

    async def health(self, headers: Mapping[str, str] | None = None) -> Answer:
        """Asks how it is: ``GET /health``, as its gateway unless headers say who asks."""
        return await self._call("GET", "/health", None, QUICK_S, headers)

    async def raw(self, body: bytes) -> Answer:
        """Sends whatever it is to ``POST /process``."""
        return await self._call("POST", "/process", body, QUICK_S)

    async def stranger(
        self, payload: bytes, timeout_s: float, headers: Mapping[str, str]
    ) -> Answer:
        """Has somebody with such headers, who is no gateway, bring it a synchronous task."""
        job = _job(_new_id(), self._type, payload, None, timeout_s)
        return await self._call("POST", "/process", job, timeout_s + QUICK_S, headers)

    def forged(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Gives the headers of strangers that try to pass for its gateway; see ``Identity``."""
        return self._callbacks.identity.forged(self._url)

    async def elsewhere(self, payload: bytes, timeout_s: float) -> Answer:
        """Has its gateway bring it a task whose callback URL is not the gateway's."""
        job = _job(_new_id(), self._type, payload, _ELSEWHERE, timeout_s)
        return await self._call("POST", "/process", job, timeout_s + QUICK_S)

    def how_to_be_known(self) -> str:
        """Tells what lets a backend that verifies who calls take the checker for its gateway."""
        return (
            "give the URL that it is registered with, and run this where its gateway's secret is; "
            f"or start it with {self._callbacks.url} as its gateway (--callback-port keeps that)"
        )

    async def cancel(self, task_id: str) -> Answer:
        """Has it stop an attempt: ``POST /cancel``."""
        body = orjson.dumps({"id": task_id, "attempt": 1})
        return await self._call("POST", "/cancel", body, QUICK_S)

    async def run(self, payload: bytes, timeout_s: float) -> Input | Failure:
        """Has it do work and answer with the end: a synchronous task.

        Raises:
            BrokenContractError: There is no answer in time.
        """
        job = _job(_new_id(), self._type, payload, None, timeout_s)
        answer = await self._call("POST", "/process", job, timeout_s + QUICK_S)
        return read_answer(answer.status, answer.body, None, RULES, asynchronous=False)

    async def start(
        self, payload: bytes, timeout_s: float, *, refusals: int = 0, task_id: str = ""
    ) -> Dispatch:
        """Has it begin work and report to a callback URL: an asynchronous task.

        Args:
            payload: A JSON object.
            timeout_s: How long the work may take.
            refusals: Final reports that are answered with 503 first.
            task_id: Of a task that it got before; empty for a new one.

        Raises:
            BrokenContractError: There is no answer in time.
        """
        task_id = task_id or _new_id()
        attempt, callback_url = self._callbacks.expect(task_id, refusals)
        job = _job(task_id, self._type, payload, callback_url, timeout_s)
        return Dispatch(task_id, attempt, await self._dispatch(job, timeout_s))

    async def twice(self, payload: bytes, timeout_s: float) -> tuple[Dispatch, Answer]:
        """Brings one attempt to it twice, as a gateway may whose first call broke off."""
        task_id = _new_id()
        attempt, callback_url = self._callbacks.expect(task_id)
        job = _job(task_id, self._type, payload, callback_url, timeout_s)
        first = Dispatch(task_id, attempt, await self._dispatch(job, timeout_s))
        return first, await self._call("POST", "/process", job, timeout_s + QUICK_S)

    async def _dispatch(self, job: bytes, timeout_s: float) -> Input | Failure:
        answer = await self._call("POST", "/process", job, timeout_s + QUICK_S)
        return read_answer(answer.status, answer.body, None, RULES, asynchronous=True)

    async def _call(
        self,
        verb: str,
        path: str,
        body: bytes | None,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Calls it, as its gateway unless other headers say who calls."""
        signed = self._callbacks.identity.headers(self._url) if headers is None else headers
        kind = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._http.request(
                verb,
                self._url + path,
                data=body,
                headers={**kind, **signed},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as answer:
                return Answer(answer.status, await _read(answer.content))
        except TimeoutError:
            raise BrokenContractError(
                f"{verb} {path} brought no answer within {timeout_s:g} s",
                "answer in time; work that takes longer is accepted, and reported when it is done",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenContractError(
                f"{verb} {path} failed: {error or type(error).__name__}",
                f"is the backend running, and reachable at {self._url}?",
            ) from None


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Reads an answer, in however many parts it comes; no more of it than a gateway does."""
    body = bytearray()
    while len(body) < _ANSWER_BYTES and (part := await content.read(_ANSWER_BYTES - len(body))):
        body += part
    return bytes(body)


def _new_id() -> str:
    return f"task_check_{uuid4().hex}"


def _job(
    task_id: str, task_type: str, payload: bytes, callback_url: str | None, timeout_s: float
) -> bytes:
    job: dict[str, Any] = {
        "id": task_id,
        "type": task_type,
        "payload": orjson.Fragment(payload),
        "callback_url": callback_url,
        "timeout": int(timeout_s * 1_000),
        "attempt": 1,
    }
    return orjson.dumps(job)
