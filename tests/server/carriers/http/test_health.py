"""What counts as healthy, and what a load is worth, whatever a health check answers."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.carriers.http.health import LIMIT_BYTES, HealthAnswer, read_health
from inferry.server.fleet.record import Load

GUIDE = {
    "status": "healthy",
    "timestamp": 1704067200000,
    "load": {"cpu": 45, "memory": 60.5, "active_tasks": 3, "queue_length": 5},
    "capabilities": ["video-processing", "image-generation"],
}
MOST = 2**31 - 1
DEEP = b"[" * 1_000 + b"]" * 1_000
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_the_guides_answer_is_healthy_and_tells_load_and_capabilities() -> None:
    said = read_health(200, orjson.dumps(GUIDE))
    assert said[:2] == (Load(45, 60.5, 3, 5), "")
    assert said.claims == {"video-processing", "image-generation"}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" \n", b"OK", b"ok\n", b"Healthy", b"Ok.", b'"ok"', b'"UP"', b"true", b"null"),
        *(b'{"status":"ok"}', b'{"status":"UP"}', b'{"status":"pass"}', b'{"status":"Healthy"}'),
        *(b'{"status":true}', b'{"status":"true"}', b'{"status":" OK "}', b'{"status":200}'),
        *(b"{}", b'{"status":null}', b'{"uptime":17,"version":"1.2"}'),
        b'\xef\xbb\xbf{"status":"healthy"}',
        '{"status":"healthy"}'.encode("utf-16"),
        b'{"status":"healthy","note":"\xff\xfe"}',
        b'{"status":"healthy","n":' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_meant_as_healthy_is_healthy(body: bytes) -> None:
    assert read_health(200, body) == HealthAnswer(None, "")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_without_a_body_is_healthy(status: int) -> None:
    assert read_health(status, b"") == HealthAnswer(None, "")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b'{"status":"unhealthy"}', "'unhealthy'"),
        (200, b'{"status":"DOWN"}', "'DOWN'"),
        (200, b'{"status":""}', "''"),
        (200, b'{"status":false}', "false"),
        (200, b'{"status":500}', "500"),
        (200, b'{"status":{"code":"ok"}}', "an object"),
        (200, b'{"status":' + b"[" * 300 + b"]" * 300 + b"}", "an array"),
        (200, b"[]", "an array"),
        (200, b"<html>\n", "'<html>'"),
        (200, b'{"status":"healthy"', '\'{"status":"healthy"\''),
        (200, b"x" * 1_000, f"'{'x' * 100}…'"),
        (200, DEEP, "'[[["),
        (200, b" " * (LIMIT_BYTES + 1), "65,537 bytes"),
        (500, b'{"status":"healthy"}', "answered 500"),
        (404, b"", "answered 404"),
        (401, b'{"status":"error","error":"no token"}', "answered 401: no token"),
        (500, b'{"error":"%b"}' % (b"x" * 900), f"answered 500: {'x' * 150}…"),
        (500, b'{"error":{"deep":1}}', "answered 500"),
        (307, b"OK", "answered 307"),
    ],
)
def test_what_is_not_healthy_is_said_in_few_words(status: int, body: bytes, error: str) -> None:
    load, complaint, _ = read_health(status, body)
    assert load is None
    assert error in complaint
    assert len(complaint) < 200


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (b'{"cpu":NaN,"memory":60}', Load(0, 60, 0, 0)),
        (b'{"cpu":Infinity,"memory":-Infinity,"queue_length":Infinity}', Load(MOST, 0, 0, MOST)),
        (b'{"cpu":"much","memory":-3,"active_tasks":1e99}', Load(0, 0, MOST, 0)),
        (b'{"cpu":null,"memory":[1],"active_tasks":true,"queue_length":2.9}', Load(0, 0, 0, 2)),
        (b'{"queue_length":' + b"9" * 5_000 + b"}", Load(0, 0, 0, MOST)),
        (b"{}", Load()),
        (b'"high"', None),
        (b"17", None),
    ],
)
def test_a_load_of_nonsense_spoils_the_number_and_never_the_health(
    load: bytes, wanted: Load | None
) -> None:
    assert read_health(200, b'{"status":"healthy","load":' + load + b"}") == HealthAnswer(
        wanted, ""
    )


def test_a_server_that_is_not_healthy_tells_its_load_all_the_same() -> None:
    body = orjson.dumps({**GUIDE, "status": "draining"})
    load, complaint, _ = read_health(503, body)
    assert load == Load(45, 60.5, 3, 5)
    assert complaint == "the health check answered 503"


@given(
    st.sampled_from([200, 204, 301, 503]),
    st.binary() | JSON.map(lambda answer: json.dumps(answer).encode()),
)
def test_no_answer_breaks_the_reader(status: int, body: bytes) -> None:
    load, complaint, _ = read_health(status, body)
    assert isinstance(load, Load | None)
    assert len(complaint) < 1_000


@pytest.mark.parametrize(
    ("given", "claims"),
    [
        (["a", "b", "a"], {"a", "b"}),
        (["a", 1, None, "", "x" * 129, ["b"]], {"a"}),
        ([f"type-{number}" for number in range(300)], {f"type-{number}" for number in range(256)}),
        *(("a", set()), ({"a": 1}, set()), (None, set()), ([], set())),
    ],
)
def test_what_is_no_capability_is_passed_over(given: object, claims: set[str]) -> None:
    body = orjson.dumps({"status": "healthy", "capabilities": given})
    assert read_health(200, body) == HealthAnswer(None, "", frozenset(claims))


@pytest.mark.parametrize("status", [200, 500])
def test_what_an_answer_says_can_be_passed_on_whatever_text_it_is(status: int) -> None:
    half = b'{"status":"\\udc00","error":"\\ud800 broke","capabilities":["\\ud800","a"]}'
    _, complaint, claims = read_health(status, half)
    assert claims == {"?", "a"}
    assert complaint.encode()
    if status == 500:
        assert complaint == "the health check answered 500: ? broke"
