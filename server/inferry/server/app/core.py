"""The inner parts of a gateway, which all outer ones are put together from."""

from dataclasses import dataclass

from inferry.server.app.memory import Memory
from inferry.server.app.use_cases import UseCases
from inferry.server.clock import SteadyClock
from inferry.server.config import Config
from inferry.server.engine.committer import Committer
from inferry.server.store import Store


@dataclass(frozen=True, slots=True)
class Core:
    """The settings, the store, and what decides."""

    config: Config
    #: Where the gateway is reached.
    public_url: str
    #: Of which its keys are made.
    secret: bytes
    clock: SteadyClock
    store: Store
    committer: Committer
    memory: Memory
    cases: UseCases
