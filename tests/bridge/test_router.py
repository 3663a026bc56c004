import pytest

from inferry.bridge.errors import BridgeError
from inferry.bridge.router import Router


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    router.add("GET", "/api/tasks/{id}", "read")
    router.add("PUT", "/api/tasks/{id}", "report")
    router.add("GET", "/api/servers/{id}", "server")
    router.add("POST", "/api/servers/register", "register")
    return router


def test_a_path_gives_its_endpoint_and_variables(router: Router[str]) -> None:
    assert router.find("PUT", "/api/tasks/task_1") == ("report", {"id": "task_1"})


def test_a_variable_is_decoded_after_the_path_is_split(router: Router[str]) -> None:
    assert router.find("GET", "/api/tasks/a%2Fb%C3%A9%00") == ("read", {"id": "a/bé\x00"})


def test_head_is_answered_as_get(router: Router[str]) -> None:
    assert router.find("HEAD", "/api/tasks/1")[0] == "read"


def test_a_literal_path_does_not_hide_a_variable_of_another_method(router: Router[str]) -> None:
    assert router.find("GET", "/api/servers/register") == ("server", {"id": "register"})
    assert router.find("POST", "/api/servers/register") == ("register", {})


@pytest.mark.parametrize("path", ["/", "", "/api/tasks/", "/api/tasks/1/", "/api//tasks/1", "*"])
def test_an_unknown_path_is_not_found(router: Router[str], path: str) -> None:
    with pytest.raises(BridgeError) as refused:
        router.find("GET", path)
    assert (refused.value.status, refused.value.code) == (404, "NOT_FOUND")


def test_an_unknown_method_is_answered_with_those_that_are(router: Router[str]) -> None:
    with pytest.raises(BridgeError) as refused:
        router.find("PATCH", "/api/tasks/1")
    assert refused.value.status == 405
    assert refused.value.headers == {"Allow": "GET, HEAD, OPTIONS, PUT"}
