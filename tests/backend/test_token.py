"""The token of a backend."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferry.backend import Backend, RefusedError
from inferry.backend.grpc import connect
from inferry.backend.http import asgi, serve
from inferry.backend.token import VARIABLE


def test_a_backend_without_a_token_says_at_once_where_it_could_have_one_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    app = Backend("gpu-01")
    says = r"^no token: give token= or set INFERRY_TOKEN; `inferry token --role backend`"
    ends = says.replace("^", "^the backend has ended: ")
    with pytest.raises(SystemExit, match=ends):
        connect(app, "127.0.0.1:1")
    with pytest.raises(SystemExit, match=ends):
        serve(app, port=0, gateway="http://127.0.0.1:1")
    with pytest.raises(RefusedError, match=says):
        asgi(app, gateway="http://127.0.0.1:1", url="http://127.0.0.1:2")


def test_in_a_thread_of_its_own_a_backend_raises_what_would_end_its_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connect, Backend("gpu-01"), "127.0.0.1:1")
        assert isinstance(running.exception(), RefusedError)


def test_a_port_that_is_taken_ends_the_program_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=r"^the backend has ended: .*address already in use"):
            serve(Backend("gpu-01"), port=port)
