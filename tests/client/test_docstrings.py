"""The examples in the docstrings, run against a fake gateway."""

import pkgutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from doctest import DocTest
from importlib import import_module
from typing import Any

import pytest
import structlog

import inferry.client
from inferry.client import AsyncClient, Client
from inferry.client.testing import FakeGateway
from tests.client import examples

MODULES = [
    import_module(found.name)
    for found in pkgutil.walk_packages(inferry.client.__path__, "inferry.client.")
]
EXAMPLES = [example for module in MODULES for example in examples.found(module)]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Any]]:
    handlers = {"double": lambda payload: {"n": 2 * payload["n"]}}
    # Other tests leave their logs behind; a program that set up none sees no line of the gateway.
    structlog.reset_defaults()
    async with FakeGateway(handlers) as gateway:
        monkeypatch.setenv("INFERRY_ADDRESS", gateway.address)
        monkeypatch.setenv("INFERRY_TOKEN", gateway.token)
        yield {
            "AsyncClient": AsyncClient,
            "Client": Client,
            "FakeGateway": FakeGateway,
            "dataclass": dataclass,
            "__name__": "example",
        }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_what_a_docstring_shows_happens(example: DocTest, names: dict[str, Any]) -> None:
    if ".sync." in example.name:
        with Client() as client:
            await examples.run_in_thread(example, names | {"client": client})
    else:
        async with AsyncClient() as client:
            await examples.run(example, names | {"client": client})


def test_both_forms_show_the_same() -> None:
    shown = {example.name.replace("Async", "").replace(".aio.", ".sync.") for example in EXAMPLES}
    twice = [example.name for example in EXAMPLES if ".sync." in example.name]
    assert len(twice) >= 4
    assert set(twice) <= shown
