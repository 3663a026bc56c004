"""The parts of webhooks that need no gateway: signatures, pauses, places, messages, secrets."""

import asyncio
import base64
from collections.abc import Iterator
from ipaddress import ip_network
from random import Random
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inferry.server.task.hook import Hook, HookEvent
from inferry.server.task.inputs import Accept, Cancel, Claim, Fail, Input, Progress, Succeed
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition
from inferry.server.webhooks.addressing import GATHER_MS, Addressing
from inferry.server.webhooks.attempts import KEPT, Try, add_try, snippet, tries_of
from inferry.server.webhooks.message import VALUE_BYTES, body_of, event_of
from inferry.server.webhooks.schedule import PAUSES_MS, is_stale, next_try_ms
from inferry.server.webhooks.secrets import BadSecretError, key_of, new_secret
from inferry.server.webhooks.signing import Signer
from inferry.server.webhooks.slots import Slots
from inferry.server.webhooks.urls import BadUrlError, host_of
from inferry.wire.scalars import print_ms
from tests.server.situations import RULES, SPEC
from tests.server.store.samples import NOW

#: From the tests of Standard Webhooks' own libraries.
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
URL = "http://gateway/api/tasks/task_1"


class Drawn(Random):
    """Draws the same each time."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def steps(*given: Input, **spec: Any) -> Iterator[tuple[TaskRecord, Transition]]:
    record, _ = create(SPEC._replace(**spec), 0)
    for one in given:
        transition = apply(record, one, NOW, RULES)
        assert transition is not None
        yield record, transition
        record = transition.record


def test_a_signature_is_that_of_the_standard() -> None:
    headers = Signer(b"s" * 32).headers(MESSAGE_ID, AT_S, BODY, [STANDARD], None)
    assert headers == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(AT_S),
        "webhook-signature": SIGNATURE,
    }


def test_there_is_a_signature_for_each_secret_that_holds_and_for_the_tenants_key() -> None:
    signer = Signer(b"s" * 32)
    headers = signer.headers(MESSAGE_ID, AT_S, BODY, [new_secret(), STANDARD], "acme")
    first, second, third = headers["webhook-signature"].split(" ")
    assert first != second == SIGNATURE
    raw = base64.b64decode(signer.public_key("acme").removeprefix("whpk_"))
    version, signature = third.split(",")
    content = f"{MESSAGE_ID}.{AT_S}.".encode() + BODY
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature), content)
    assert version == "v1a"
    assert signer.public_key("acme") != signer.public_key("other")
    assert signer.public_key("acme") == Signer(b"s" * 32).public_key("acme")


def test_a_new_secret_is_one() -> None:
    assert len(key_of(new_secret())) == 32
    assert new_secret() != new_secret()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_" + "!" * 32,
        "whsec_ü" + "a" * 31,
    ],
)
def test_what_is_no_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(BadSecretError) as refusal:
        key_of(text)
    assert "24 to 64 bytes" in str(refusal.value)


def test_tries_come_later_and_later_and_end_after_the_tenth() -> None:
    pauses = [next_try_ms(tries, NOW, None, Drawn(0)) for tries in range(1, 11)]
    assert [None if at is None else at - NOW for at in pauses] == [*PAUSES_MS, None]
    assert sum(PAUSES_MS) == 75 * 3_600_000 + 35 * 60_000 + 5_000


def test_a_pause_is_a_little_longer_by_chance() -> None:
    at_ms = next_try_ms(2, NOW, None, Drawn(1))
    assert at_ms == NOW + 330_000


@pytest.mark.parametrize(("asked_s", "pause_s"), [(1, 5), (60, 60), (10**9, 86_400)])
def test_a_receiver_may_make_a_pause_longer_and_not_shorter(asked_s: float, pause_s: int) -> None:
    assert next_try_ms(1, NOW, asked_s, Drawn(0)) == NOW + 1_000 * pause_s


def test_progress_alone_becomes_stale() -> None:
    late = NOW + 300_001
    assert [is_stale(event, NOW, late) for event in HookEvent] == [False, True, False]
    assert not is_stale(HookEvent.PROGRESS, NOW, late - 1)


def test_a_host_has_so_many_places() -> None:
    slots = Slots(per_host=3, at_once=100)
    slots.take("a", slots.room("a"))
    assert [slots.room("a"), slots.room("b"), slots.on_the_way] == [0, 3, 3]
    slots.give("a", 2)
    assert slots.room("a") == 2


def test_a_host_in_trouble_has_one_place_until_it_is_well() -> None:
    slots = Slots(per_host=3, at_once=100)
    slots.take("a", 3)
    slots.give("a", 1)
    slots.judge("a", good=False)
    assert slots.room("a") == 0
    slots.give("a", 2)
    assert slots.room("a") == 1
    slots.judge("a", good=True)
    assert slots.room("a") == 3


def test_hosts_in_trouble_have_half_of_all_places() -> None:
    slots = Slots(per_host=8, at_once=10)
    hosts = [f"dead{n}" for n in range(20)]
    for host in hosts:
        slots.judge(host, good=False)
    for host in hosts:
        slots.take(host, slots.room(host))
    assert slots.on_the_way == 5
    assert slots.room("well") == 5
    slots.take("well", 5)
    assert slots.room("other") == 0


def test_places_are_counted_whatever_is_found_out_meanwhile() -> None:
    random, slots = Random(1), Slots(per_host=3, at_once=9)
    used: list[str] = []
    for _ in range(5_000):
        host = f"host{random.randrange(6)}"
        match random.randrange(3):
            case 0:
                room = slots.room(host)
                slots.take(host, room)
                used += [host] * room
            case 1 if used:
                one = used.pop(random.randrange(len(used)))
                slots.give(one, 1)
            case _:
                slots.judge(host, good=random.random() < 0.5)
        assert slots.on_the_way == len(used) <= 9
        troubled = sum(one in slots._troubled for one in used)
        assert slots._troubled_used == troubled


def test_what_happens_to_a_task_is_told_in_three_words() -> None:
    events = [
        event_of(before, transition)
        for before, transition in steps(
            Claim("srv_1"), Accept(), Progress(50.0), Accept("queued"), Cancel()
        )
    ]
    assert events == [None, HookEvent.STARTED, HookEvent.PROGRESS, None, HookEvent.COMPLETED]


def test_a_report_that_comes_first_starts_a_task() -> None:
    (_, _), (before, transition) = steps(Claim("srv_1"), Progress(50.0))
    assert event_of(before, transition) is HookEvent.STARTED


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (Succeed(b"1"), "task.completed"),
        (Fail("no", "E"), "task.failed"),
        (Cancel(), "task.cancelled"),
    ],
)
def test_the_type_of_an_end_says_how(end: Input, kind: str) -> None:
    *_, (_, transition) = steps(Claim("srv_1"), end)
    body = orjson.loads(body_of(HookEvent.COMPLETED, transition, URL))
    assert body["type"] == kind
    assert body["timestamp"] == print_ms(NOW) == "2024-01-01T00:00:00.000Z"


@pytest.mark.parametrize("size", [VALUE_BYTES, VALUE_BYTES + 1])
def test_values_are_sent_up_to_a_size(size: int) -> None:
    text = b'"' + b"x" * (size - 2) + b'"'
    *_, (_, transition) = steps(Claim("srv_1"), Succeed(text))
    data = orjson.loads(body_of(HookEvent.COMPLETED, transition, URL))["data"]
    assert ("result" in data, "resultUrl" in data) == (size <= VALUE_BYTES, size > VALUE_BYTES)
    *_, (_, failed) = steps(Claim("srv_1"), Fail("no", "E", b'{"x":' + text + b"}"))
    data = orjson.loads(body_of(HookEvent.COMPLETED, failed, URL))["data"]
    assert data["detailsUrl"] == URL


def hook(hook_id: str = "whk_1", **more: Any) -> Hook:
    events = HookEvent.STARTED | HookEvent.PROGRESS | HookEvent.COMPLETED
    made = Hook(hook_id, SPEC.tenant, "https://example.com", "example.com:443", events, NOW, NOW)
    return made._replace(**more)


def told(addressing: Addressing, *given: Input, **spec: Any) -> list[tuple[str, int, int]]:
    return [
        (notice.key.hook_id, notice.key.seq, notice.due_ms - NOW)
        for before, transition in steps(*given, **spec)
        for notice in addressing.notices(before, transition)
    ]


def test_each_webhook_hears_of_what_fits_it() -> None:
    addressing = Addressing("http://gateway", asyncio.Event(), 10)
    addressing.know(
        [
            hook("all"),
            hook("end", events=HookEvent.COMPLETED),
            hook("ocr", types=("ocr",)),
            hook("vision", labels=(("team", "vision"),)),
            hook("off", disabled="410"),
            hook("other", tenant="other"),
        ]
    )
    given = Claim("srv_1"), Accept(), Progress(1.0), Cancel()
    plain = [("all", 3, 0), ("all", 4, GATHER_MS), ("all", 5, 0), ("end", 5, 0)]
    assert told(addressing, *given) == plain
    labelled = told(addressing, *given, labels=b'{"team":"vision"}')
    assert [one for one in labelled if one[0] == "vision"] == [
        ("vision", 3, 0),
        ("vision", 4, GATHER_MS),
        ("vision", 5, 0),
    ]
    own = told(addressing, *given, webhook_events=int(HookEvent.STARTED), tenant="lone")
    assert own == [("task_1", 3, 0)]
    assert told(addressing, *given, tenant="lone") == []


def test_a_webhook_for_which_much_waits_hears_of_ends_alone() -> None:
    addressing = Addressing("http://gateway", asyncio.Event(), 2)
    addressing.know([hook()])
    given = Claim("srv_1"), Accept(), Progress(1.0)
    assert [seq for _, seq, _ in told(addressing, *given)] == [3, 4]
    assert addressing.crowded() == ["whk_1"]
    assert [seq for _, seq, _ in told(addressing, *given, Cancel())] == [5]
    addressing.count("whk_1", 0)
    assert [seq for _, seq, _ in told(addressing, *given)] == [3, 4]


def test_the_latest_tries_are_kept() -> None:
    known = b"[]"
    for number in range(KEPT + 3):
        known = add_try(known, Try(number, 1, 500, "no"))
    tries = tries_of(known)
    assert [one.at_ms for one in tries] == [*range(3, KEPT + 3)]
    assert tries[-1] == Try(KEPT + 2, 1, 500, "no")
    assert snippet(b"\xff" + b"x" * 1_000) == "\ufffd" + "x" * 255


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.com/hook?key=1", "example.com:443"),
        ("http://example.com", "example.com:80"),
        ("http://user:password@example.com:8080/", "example.com:8080"),
        ("http://10.1.2.3/", "10.1.2.3:80"),
        ("https://[2606:4700::1111]/", "[2606:4700::1111]:443"),
    ],
)
def test_webhooks_of_one_host_and_port_share_their_places(url: str, host: str) -> None:
    assert host_of(url, [ip_network("10.0.0.0/8")]) == host


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com", "http://", "http://exa mple.com", "http://a:b/"),
        *("http://example.com/#x", "http://10.1.2.3/", "http://127.0.0.1/", "http://[::1]/"),
        *("http://169.254.169.254/", "http://example.com/\n"),
    ],
)
def test_a_url_that_can_be_no_webhooks_is_refused(url: str) -> None:
    with pytest.raises(BadUrlError) as refusal:
        host_of(url, [])
    assert "example" not in str(refusal.value)


def test_metadata_addresses_are_in_no_network_that_is_allowed() -> None:
    with pytest.raises(BadUrlError):
        host_of("http://169.254.169.254/", [ip_network("0.0.0.0/0")])
