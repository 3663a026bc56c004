"""The token of a backend."""

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
    with pytest.raises(RefusedError, match=says):
        connect(app, "127.0.0.1:1")
    with pytest.raises(RefusedError, match=says):
        serve(app, port=0, gateway="http://127.0.0.1:1")
    with pytest.raises(RefusedError, match=says):
        asgi(app, gateway="http://127.0.0.1:1", url="http://127.0.0.1:2")
