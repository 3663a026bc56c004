import pytest

from inferry.bridge.errors import BridgeError
from inferry.bridge.router import Router


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    router.add("GET", "/api/tasks/{id}", "read")
    router.add("PUT", "/api/tasks/{id}", "report")
    router.add("POST", "/api/tasks", "create")
    router.add("POST", "/api/tasks/{id}/retry", "retry")
    router.add("POST", "/api/tasks/retry", "retry many")
    router.add("POST", "/api/tasks:batchCreate", "create many")
    router.add("GET", "/api/servers/{id}", "server")
    router.add("POST", "/api/servers/register", "register")
    return router


def test_a_path_gives_its_endpoint_and_variables(router: Router[str]) -> None:
    assert router.find("PUT", "/api/tasks/task_1") == ("report", {"id": "task_1"})


def test_a_verb_after_a_colon_is_part_of_a_literal_path(router: Router[str]) -> None:
    assert router.find("POST", "/api/tasks:batchCreate") == ("create many", {})
    assert router.find("POST", "/api/tasks%3AbatchCreate/") == ("create many", {})
    assert router.find("GET", "/api/tasks/a%3Ab") == ("read", {"id": "a:b"})
    with pytest.raises(BridgeError) as refused:
        router.find("POST", "/api/tasks:other")
    assert refused.value.status == 404


def test_a_variable_is_decoded_after_the_path_is_split(router: Router[str]) -> None:
    assert router.find("GET", "/api/tasks/a%2Fb%C3%A9%00") == ("read", {"id": "a/bé\x00"})


def test_who_finds_nothing_is_told_where_to_look_and_what_was_asked_in_short(
    router: Router[str],
) -> None:
    with pytest.raises(BridgeError) as refused:
        router.find("GET", "/api/task")
    assert refused.value.status == 404
    assert refused.value.message == 'there is nothing at "/api/task"; /docs lists all there is'
    with pytest.raises(BridgeError) as refused:
        router.find("GET", f"/{'x' * 8_000}")
    assert len(refused.value.message) < 200


def test_head_is_answered_as_get(router: Router[str]) -> None:
    assert router.find("HEAD", "/api/tasks/1")[0] == "read"


def test_a_literal_path_is_a_place_of_its_own(router: Router[str]) -> None:
    assert router.find("POST", "/api/servers/register") == ("register", {})
    assert router.allowed("/api/servers/register") == ["OPTIONS", "POST"]
    assert router.allowed("/api/tasks/retry") == ["OPTIONS", "POST"]
    assert router.allowed("/api/servers/srv_1") == ["GET", "HEAD", "OPTIONS"]
    with pytest.raises(BridgeError) as refused:
        router.find("GET", "/api/servers/register")
    assert (refused.value.status, refused.value.headers) == (405, {"Allow": "OPTIONS, POST"})


@pytest.mark.parametrize(
    ("verb", "path", "found"),
    [
        ("POST", "//api/tasks", ("create", {})),
        ("POST", "/api/tasks/", ("create", {})),
        ("POST", "///api/tasks//", ("create", {})),
        ("GET", "//api/tasks/task_1/", ("read", {"id": "task_1"})),
        ("HEAD", "/api/servers/srv_1/", ("server", {"id": "srv_1"})),
        ("POST", "/api/servers/register/", ("register", {})),
    ],
)
def test_slashes_before_and_after_a_path_do_not_matter(
    router: Router[str], verb: str, path: str, found: tuple[str, dict[str, str]]
) -> None:
    assert router.find(verb, path) == found
    assert verb in router.allowed(path)


@pytest.mark.parametrize(
    "path", ["/", "//", "", "/api", "/api/tasks/1/2", "/api//tasks/1", "/api/tasks//retry", "*"]
)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_an_unknown_path_is_not_found(router: Router[str], verb: str, path: str) -> None:
    for ask in (lambda: router.find(verb, path), lambda: router.allowed(path)):
        with pytest.raises(BridgeError) as refused:
            ask()
        assert (refused.value.status, refused.value.code) == (404, "NOT_FOUND")


def test_an_unknown_method_is_answered_with_those_that_are(router: Router[str]) -> None:
    with pytest.raises(BridgeError) as refused:
        router.find("PATCH", "/api/tasks/1")
    assert refused.value.status == 405
    assert refused.value.headers == {"Allow": "GET, HEAD, OPTIONS, PUT"}


def test_a_prefix_may_stand_before_a_path_or_have_been_taken_away() -> None:
    router: Router[str] = Router("/api")
    router.add("GET", "/api/tasks/{id}", "read")
    for path in ("/api/tasks/1", "/api/api/tasks/1", "//api/api/tasks/1/"):
        assert router.find("GET", path) == ("read", {"id": "1"})
    for path in ("/api", "/api/", "/apiapi/tasks/1", "/other/api/tasks/1"):
        with pytest.raises(BridgeError):
            router.find("GET", path)
