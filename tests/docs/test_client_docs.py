"""docs/client.md: its programs run, and its tables name what there is."""

import inspect
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from pathlib import Path

import pytest

import inferry.client
from inferry.client import Client, InferryError, Options
from inferry.client.config import DEFAULT_ADDRESS, DEFAULT_RETRIES, DEFAULT_TIMEOUT_S
from inferry.client.testing import FakeGateway

TEXT = (Path(__file__).parents[2] / "docs/client.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def rows(head: str) -> dict[str, list[str]]:
    """The rows of the table with a column of a name, by their first cell."""
    table = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert table is not None
    cells = [line.strip("| ").split(" | ") for line in table[1].splitlines()]
    return {name: rest for first, *rest in cells for name in re.findall(r"`(\w+)`", first)}


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
async def test_its_programs_run(program: str) -> None:
    head = "" if "import Client" in program or "AsyncClient" in program else "from inferry.client "
    head += "import Client\n" if head else ""
    async with FakeGateway({"double": lambda payload: {"n": 2 * payload["n"]}}) as gateway:
        environment = {"INFERRY_ADDRESS": gateway.address, "INFERRY_TOKEN": gateway.token}
        process = await create_subprocess_exec(
            sys.executable, "-c", head + program, stdout=PIPE, stderr=STDOUT, env=environment
        )
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert printed or "assert" in program


def test_it_tells_all_settings_with_their_defaults() -> None:
    settings = rows("argument")
    assert set(settings) == set(inspect.signature(Client).parameters)
    told = [settings[name][-1] for name in ("address", "timeout", "retries")]
    for text, default in zip(
        told, (DEFAULT_ADDRESS, DEFAULT_TIMEOUT_S, DEFAULT_RETRIES), strict=True
    ):
        assert text.startswith(f"`{default}`")


def test_it_tells_all_options() -> None:
    assert set(rows("option")) == set(Options.__annotations__)


def test_it_tells_all_errors() -> None:
    exported = [getattr(inferry.client, name) for name in inferry.client.__all__]
    errors = [one for one in exported if inspect.isclass(one) and issubclass(one, InferryError)]
    assert set(rows("error")) == {error.__name__ for error in errors}


def test_it_tells_all_methods() -> None:
    for kind in (inferry.client.Client, inferry.client.Task):
        for name in dir(kind):
            if not name.startswith("_") and name not in {"id", "state", "ended"}:
                assert re.search(rf"\b{name}\b", TEXT), name
