"""Every URL of a stream of events, asked wrongly in all ways: refused in words, and let go of."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import pytest

from inferry.bridge.routes import Route, read_routes
from inferry.bridge.services import services
from tests.gateways import Running, running_gateway, token
from tests.server.gateway.hostile import TASK, TEXTS
from tests.server.gateway.running import ended_task, running_now, until_left

ROUTES = [
    route
    for route in read_routes(service.descriptor for service in services())
    if route.method.server_streaming
]
#: What no number, no word of a list and no cursor is like, besides what no text is.
WORDS = ("", *TEXTS, "-1", "1e999", str(2**64), "NaN", "null", "[]", "STRUCT,STRUCT", "\xff")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path) as gateway:
        yield gateway


def queries(route: Route) -> Iterator[list[tuple[str, str]]]:
    """Gives queries of which one parameter is wrong, some of them many times."""
    names = [field.json_name for field in route.query_fields]
    names += [f"{field.json_name}.{key}" for field in route.query_maps for key in ("", "k", "\0")]
    for name in (*names, "nothing"):
        for word in WORDS:
            yield [(name, word)]
        yield [(name, "x")] * 40


def paths(route: Route, task: str) -> Iterator[str]:
    """Gives the paths of a route: of the task, and of what is none."""
    for name in (task, TASK, *TEXTS) if route.variables else ("",):
        path = route.template
        for variable in route.variables:
            path = path.replace(f"{{{variable}}}", quote(name, safe=""))
        yield path


async def first_words(gateway: Running, url: str, **headers: str) -> tuple[int, bytes]:
    """Opens a URL, and hangs up after the first event."""
    said = {"Authorization": f"Bearer {token()}", **headers}
    timeout = aiohttp.ClientTimeout(20)
    async with gateway.http.get(url, headers=said, timeout=timeout) as answer:
        if answer.status == 200:
            return 200, await answer.content.readuntil(b"\n\n")
        return answer.status, await answer.read()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
async def test_whatever_is_asked_is_refused_in_words_and_let_go_of(
    gateway: Running, route: Route
) -> None:
    task = await ended_task(gateway)
    before = running_now()
    good = next(paths(route, task))
    asked: list[tuple[str, dict[str, str]]] = [(path, {}) for path in paths(route, task)]
    asked += [(f"{good}?{urlencode(query)}", {}) for query in queries(route)]
    # What is no header at all does not come as far.
    asked += [(good, {"Last-Event-ID": word}) for word in WORDS if word.isprintable()]
    for url, headers in asked:
        status, body = await first_words(gateway, f"{gateway.url}{url}", **headers)
        told = url, headers, status, body
        assert status in (200, 204, 400, 401, 404), told
        assert not body.startswith(b"event: error"), told
        if status >= 400:
            assert orjson.loads(body)["error"], told
    await until_left(gateway, before)
