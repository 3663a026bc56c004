"""A gateway in the benchmark's own process, and calls in the name of tenants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from pydantic import SecretStr

from inferry.server.access.tokens import Role, issue_token
from inferry.server.app.gateway import Gateway
from inferry.server.clock import SystemClock
from inferry.server.config import Config

Metadata = tuple[tuple[str, str], ...]
_SECRET = token_urlsafe(48)


@asynccontextmanager
async def running_gateway(folder: Path, **settings: Any) -> AsyncIterator[Gateway]:
    """Runs a gateway without REST on a free port until the block ends."""
    given = {"grpc_port": 0, **settings}
    config = Config(data_dir=folder, jwt_secret=SecretStr(_SECRET), **given)
    gateway = Gateway(config, "http://127.0.0.1:1")
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


def bearer(tenant: str) -> Metadata:
    """Gives what calls of a tenant's client carry."""
    now_ms = SystemClock().now_ms()
    token = issue_token(_SECRET.encode(), tenant, Role.CLIENT, tenant, 3_600, now_ms)
    return (("authorization", f"Bearer {token}"),)
