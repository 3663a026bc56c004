"""Every RPC of one answer, asked wrongly in all ways: refused in words, alike at both doors."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from inferry.server.access.tokens import Role
from tests.gateways import Running, running_gateway
from tests.receivers import NETWORKS
from tests.server.gateway.hostile import METHODS, REFUSED, ask, hostile, no_requests


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, webhook_networks=NETWORKS, queue_limit=100) as gateway:
        yield gateway


@pytest.fixture
async def wire(gateway: Running) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gateway.gateway.grpc_address) as channel:
        yield channel


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ADMIN])
async def test_whatever_is_asked_is_refused_in_words_and_alike_at_both_doors(
    gateway: Running, wire: grpc.aio.Channel, role: Role
) -> None:
    for method in METHODS:
        for request in hostile(GetMessageClass(method.input_type)):
            near = await ask(gateway.gateway.channel, method, request, role=role)
            far = await ask(wire, method, request, role=role)
            said = method.name, str(request)[:500], near, far
            assert {near.code, far.code} <= REFUSED, said
            # A code holds once, a throttle counts, and so on: but what is wrong is wrong twice.
            if StatusCode.INVALID_ARGUMENT in (near.code, far.code):
                assert near == far, said


async def test_bytes_that_are_no_request_are_refused_over_the_wire(
    gateway: Running, wire: grpc.aio.Channel
) -> None:
    for method in METHODS:
        for request in no_requests(GetMessageClass(method.input_type)):
            said = await ask(wire, method, request, role=Role.CLIENT)
            assert said.code in REFUSED, (method.name, request, said)
