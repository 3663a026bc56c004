"""What the settings say about tokens holds on the wire."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from grpc import StatusCode

from inferry.v1 import task_service_pb2 as pb
from inferry.v1.task_service_pb2_grpc import TaskServiceStub
from tests.gateways import SECRET, running_gateway

#: gRPC refused some of what was too long for it, and not the rest.
TRIES = 20


def signed(**claims: Any) -> str:
    said = {"sub": "ada", "role": "client", "exp": int(time.time()) + 60, **claims}
    return jwt.encode(said, SECRET, "HS256")


def longest(limit: int) -> str:
    """Makes a token of ``limit`` characters, or of one fewer: base64 has gaps."""
    # Three bytes of padding are four characters.
    pad = "x" * ((limit - len(signed(pad=""))) // 4 * 3)
    return max(
        (token for more in range(3) if len(token := signed(pad=pad + "x" * more)) <= limit), key=len
    )


@asynccontextmanager
async def tasks_of(data_dir: Path, **settings: Any) -> AsyncIterator[Any]:
    async with running_gateway(data_dir, **settings) as gateway:
        address = gateway.gateway.grpc_address
        async with grpc.aio.insecure_channel(address) as channel:
            yield TaskServiceStub(channel)


async def code(tasks: Any, token: str) -> tuple[StatusCode, str]:
    metadata = (("authorization", f"Bearer {token}"),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tasks.GetTask(pb.GetTaskRequest(id="task_1"), metadata=metadata)
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize("limit", [8_192, 65_536])
async def test_the_longest_token_is_taken_over_grpc_each_time(tmp_path: Path, limit: int) -> None:
    async with tasks_of(tmp_path, jwt_token_limit=limit) as tasks:
        token = longest(limit)
        assert limit - 1 <= len(token) <= limit
        for _ in range(TRIES):
            assert (await code(tasks, token))[0] is StatusCode.NOT_FOUND
            told = await code(tasks, token + "a" * 100)
            assert told[0] is StatusCode.UNAUTHENTICATED
            assert f"{limit} characters at most" in told[1]


async def test_the_leeway_is_a_setting(tmp_path: Path) -> None:
    past = int(time.time()) - 60
    async with tasks_of(tmp_path / "none") as tasks:
        assert (await code(tasks, signed(exp=past)))[0] is StatusCode.UNAUTHENTICATED
    async with tasks_of(tmp_path / "long", jwt_leeway_ms=600_000) as tasks:
        assert (await code(tasks, signed(exp=past)))[0] is StatusCode.NOT_FOUND
