"""docs/http-clients.md: its clients do what the page says, also when the gateway goes away."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.processes import GatewayProcess, MockProcess

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "http-clients.md").read_text()
WITHIN_S = 60
(CURL,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(NODE,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
CLIENTS: dict[str, tuple[str, Sequence[str]]] = {
    "python": (PYTHON, (sys.executable, "client.mjs")),
    "node": (NODE, ("node", "client.mjs")),
}


async def lines_of(
    folder: Path,
    gateway: GatewayProcess,
    text: str,
    command: Sequence[str],
    *,
    killed: bool = False,
) -> list[str]:
    """Runs a client; with ``killed``, its gateway is killed once its task is under way."""
    (folder / "client.mjs").write_text(text.replace("http://127.0.0.1:8787", gateway.rest))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, "INFERRY_TOKEN": gateway.token},
        stdout=PIPE,
        stderr=STDOUT,
    )
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(WITHIN_S):
        async for line in process.stdout:
            lines.append(line.decode().rstrip())
            if killed and "PROGRESSED" in lines[-1]:
                killed = False
                await gateway.kill()
                await gateway.restart()
        assert await process.wait() == 0, lines
    return lines


@pytest.mark.parametrize("killed", [False, True], ids=["as it goes", "with its gateway killed"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_its_clients_see_each_event_once_and_the_result_and_a_refusal(
    tmp_path: Path,
    gateway_process: GatewayProcess,
    mock_process: MockProcess,
    client: str,
    *,
    killed: bool,
) -> None:
    assert mock_process.id
    text, command = CLIENTS[client]
    *events, result, refusal = await lines_of(
        tmp_path, gateway_process, text, command, killed=killed
    )
    assert [int(line.split()[0]) for line in events] == [*range(1, len(events) + 1)]
    assert events[-1].split()[1:] == ["FINISHED", "COMPLETED", "100"]
    assert re.search(r"steps['\"]?: 2", result)
    assert refusal.startswith("INVALID_PAYLOAD type: 'no spaces'")


async def test_its_curl_lines_create_one_task_and_watch_it_to_its_end(
    tmp_path: Path, gateway_process: GatewayProcess, mock_process: MockProcess
) -> None:
    assert mock_process.id
    command = ("bash", "-euo", "pipefail", "client.mjs")
    *events, task = await lines_of(tmp_path, gateway_process, CURL, command)
    assert '"kind":"FINISHED"' in events[-1]
    assert '"status":"COMPLETED"' in task
    created = re.findall(r'"taskId":"(task_\w+)"', "\n".join(events))
    assert len({*created}) == 1
    assert f'"id":"{created[0]}"' in task


async def test_a_creation_that_is_said_again_makes_no_second_task(
    tmp_path: Path, gateway_process: GatewayProcess
) -> None:
    command = ("bash", "-euo", "pipefail", "client.mjs")
    create = CURL.partition("# Its events")[0]
    again = create.partition("TASK=")[2]
    twice = f"{create}\necho $TASK\nTASK={again}\necho $TASK\n"
    first, second = await lines_of(tmp_path, gateway_process, twice, command)
    assert re.fullmatch(r"task_\w+", first)
    assert first == second


@pytest.mark.parametrize(
    "link", re.findall(r"\]\((?!https:)([\w./-]+)", re.sub(r"(?s)```.*?```", "", PAGE))
)
def test_what_it_links_to_is_there(link: str) -> None:
    assert (DOCS / link).exists()
