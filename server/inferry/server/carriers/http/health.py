"""What the answer to ``GET /health`` means. Pure.

The guide's answer is an object with the status "healthy" and a load. Whoever has a health check
already has another one: what frameworks and their conventions answer is taken as it is meant
(Spring Boot, ASP.NET, the draft of health+json, and the bare ``OK`` or 204 of load balancers).
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from inferry.server.fleet.record import Load, load_of
from inferry.wire.errors import writable

#: What says more is not read.
LIMIT_BYTES = 64 * 1024
#: Statuses that mean healthy, in small letters.
HEALTHY = frozenset(
    {
        *("healthy", "ok", "okay", "up", "pass", "passing", "passed", "true", "success", "good"),
        *("ready", "running", "alive", "live", "online", "serving", "available", "active"),
    }
)
#: Characters of an answer that an error quotes.
_QUOTED = 100
_REASON = 150
#: Capabilities that are read, as many as a server may have, and the characters of each.
_CLAIMS = 256
_CLAIM_CHARACTERS = 128


class HealthAnswer(NamedTuple):
    """What a server says of itself when it is probed."""

    #: None if it told none.
    load: Load | None
    #: Why it is not healthy; empty when it is.
    error: str
    #: What it says that it is capable of; none if it does not say.
    claims: frozenset[str] = frozenset()


def read_health(status: int, body: bytes) -> HealthAnswer:
    """Reads the answer to a probe (guide: "Health Checks")."""
    if len(body) > LIMIT_BYTES:
        error = f"the health check answered {len(body):,} bytes; {LIMIT_BYTES:,} are read"
        return HealthAnswer(None, error)
    # Whatever is no UTF-8 stands in texts: it does not make the rest unreadable.
    text = body.decode(json.detect_encoding(body), "replace").strip()
    answer = _parsed(text)
    load, claims = None, frozenset[str]()
    if isinstance(answer, dict):
        claims = _read_claims(answer.get("capabilities"))
        if isinstance(answer.get("load"), dict):
            load = read_load(answer["load"])
    if not 200 <= status < 300:  # noqa: PLR2004  # the 2xx class
        return HealthAnswer(load, f"the health check answered {status}{_reason(answer)}", claims)
    word = answer.get("status") if isinstance(answer, dict) else answer
    return HealthAnswer(load, _complaint(word), claims)


def read_load(load: Mapping[str, Any]) -> Load:
    """Reads a load as the guide has it."""
    return load_of(
        load.get("cpu"), load.get("memory"), load.get("active_tasks"), load.get("queue_length")
    )


def _read_claims(given: object) -> frozenset[str]:
    """Reads what a server says that it is capable of; what is no name is passed over."""
    if not isinstance(given, list):
        return frozenset()
    names = (writable(one) for one in given[:_CLAIMS] if isinstance(one, str))
    return frozenset(name for name in names if 0 < len(name) <= _CLAIM_CHARACTERS)


def _parsed(text: str) -> object:
    """Reads JSON, and anything else as a text; None stands for nothing at all."""
    if not text:
        return None
    try:
        # Not by orjson, which knows no NaN: Python's backends write it. As floats, integers of
        # any length are numbers.
        return json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return text


def _reason(answer: object) -> str:
    """Gives what an answer says of why it is no good one, as far as it is short."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, str) or not error:
        return ""
    return f": {writable(error if len(error) <= _REASON else f'{error[:_REASON]}…')}"


def _complaint(word: object) -> str:
    """Tells why a status does not mean healthy; empty when it does.

    None does: the answer is a 2xx and says nothing else.
    """
    match word:
        case None | True:
            return ""
        case str() if word.strip().rstrip(".!").casefold() in HEALTHY:
            return ""
        case float() if 200 <= word < 300:  # noqa: PLR2004  # the 2xx class
            return ""
        case str():
            text = repr(word if len(word) <= _QUOTED else f"{word[:_QUOTED]}…")
        case False:
            text = "false"
        case float():
            text = f"{word:g}"
        case _:
            text = "an object" if isinstance(word, dict) else "an array"
    return f'the health check said {text}, not "healthy"'
