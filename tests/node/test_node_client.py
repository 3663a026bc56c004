"""A client in another language, made from the .proto files alone."""

import asyncio
import json
import sysconfig
from asyncio.subprocess import PIPE
from pathlib import Path

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.processes import GatewayProcess

CLIENT = Path(__file__).with_name("client.js")
#: Ours, and where googleapis-common-protos keeps google/api/*.proto.
PROTO_DIRS = (Path(__file__).parents[2] / "proto", Path(sysconfig.get_path("purelib")))
TYPE = "counting"
WITHIN_S = 30


async def process(request: web.Request) -> web.Response:
    """Answers with what it was given, at once: right for an asynchronous task too."""
    return web.json_response({"status": "success", "result": (await request.json())["payload"]})


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "healthy"})


async def test_a_client_made_from_the_protos_creates_a_task_and_watches_it_to_its_end(
    gateway_process: GatewayProcess,
) -> None:
    backend = web.Application()
    backend.add_routes([web.post("/process", process), web.get("/health", health)])
    async with TestServer(backend) as server, ClientSession() as session:
        async with session.post(
            f"{gateway_process.rest}/api/servers/register",
            json={"url": str(server.make_url("")), "name": "counter", "capabilities": [TYPE]},
            headers={"Authorization": f"Bearer {gateway_process.token}"},
        ) as response:
            assert response.status == 200
        client = await asyncio.create_subprocess_exec(
            "node",
            CLIENT,
            gateway_process.grpc,
            gateway_process.token,
            TYPE,
            *PROTO_DIRS,
            stdout=PIPE,
        )
        async with asyncio.timeout(WITHIN_S):
            printed, _ = await client.communicate()
    assert client.returncode == 0
    seen = [json.loads(line) for line in printed.splitlines()]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert (seen[0]["kind"], seen[-1]["kind"]) == ("CREATED", "FINISHED")
    assert seen[-1]["status"] == "COMPLETED"
    result = seen[-1]["task"]["result"]["structValue"]["fields"]
    assert result["steps"]["numberValue"] == 2
