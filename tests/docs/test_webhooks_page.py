"""docs/webhooks.md: its ways to verify do, and its tables name what there is."""

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import orjson
import pytest

from inferry.server.clock import SystemClock
from inferry.server.task.hook import HookEvent
from inferry.server.webhooks.secrets import new_secret
from inferry.server.webhooks.signing import Signer

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(NODE,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
SECRET = new_secret()
BODY = '{"type":"task.completed","data":{"id":"task_1","message":"ü"}}'.encode()
CHANGED = BODY.replace(b"task_1", b"task_2")
ASKS = """
const [body, headers, secret] = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
try { console.log("204", verify(Buffer.from(body), headers, secret).data.id) }
catch (error) { console.log("401", error.message) }
"""


def headers(ahead_s: int = 0) -> dict[str, str]:
    at_s = SystemClock().now_ms() // 1_000 + ahead_s
    secrets = [new_secret(), SECRET]
    return dict(Signer(b"s" * 32).headers("task_1_5", at_s, BODY, secrets, "acme"))


async def by_node(body: bytes, given: dict[str, str], secret: str) -> str:
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(node, "-e", NODE + ASKS, stdin=PIPE, stdout=PIPE)
    out, _ = await process.communicate(orjson.dumps([body.decode(), given, secret]))
    return out.decode().strip()


async def by_python(body: bytes, given: dict[str, str], secret: str) -> str:
    names: dict[str, Any] = {}
    exec(PYTHON, names)  # it is what the page shows
    return str(names["receive"](body, given, secret))


@pytest.mark.parametrize("verify", [by_python, by_node])
async def test_a_message_of_the_gateway_is_taken(verify: Any) -> None:
    answered = await verify(BODY, headers(), SECRET)
    assert answered.startswith("204")
    assert answered.endswith("task_1")


@pytest.mark.parametrize("verify", [by_python, by_node])
async def test_another_is_refused(verify: Any) -> None:
    assert (await verify(CHANGED, headers(), SECRET)).startswith("401")
    assert (await verify(BODY, headers(), new_secret())).startswith("401")
    assert (await verify(BODY, headers(-301), SECRET)).startswith("401")


def test_every_event_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {event.name.lower() for event in HookEvent if event.name} <= {*rows}
