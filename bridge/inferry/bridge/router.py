"""From an HTTP method and a path to the endpoint that answers."""

import re
from collections.abc import Mapping
from typing import Generic, TypeVar
from urllib.parse import unquote

from inferry.bridge.errors import BridgeError

Endpoint = TypeVar("Endpoint")

_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")


class Router(Generic[Endpoint]):
    """Endpoints by HTTP method and path template; HEAD is answered as GET."""

    def __init__(self) -> None:
        self._literal: dict[tuple[str, str], Endpoint] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Endpoint]]] = {}

    def add(self, verb: str, template: str, endpoint: Endpoint) -> None:
        """Adds an endpoint. A literal path goes before one with variables."""
        if "{" not in template:
            self._literal[verb, template] = endpoint
            return
        pattern = "".join(
            f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part)
            for place, part in enumerate(_VARIABLE.split(template))
        )
        self._patterns.setdefault(verb, []).append((re.compile(pattern), endpoint))

    def find(self, verb: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        """Finds the endpoint for a path as it was sent, and the values of its variables.

        Raises:
            BridgeError: 404 when the path is unknown, 405 when the method is none of its own.
        """
        verb = "GET" if verb == "HEAD" else verb
        found = self._match(verb, path)
        if found is not None:
            return found
        allowed = self.allowed(path)
        if not allowed:
            raise BridgeError(404, "NOT_FOUND", f"there is nothing at {unquote(path)}")
        listed = ", ".join(allowed)
        raise BridgeError(
            405,
            "METHOD_NOT_ALLOWED",
            f"{verb} is not for {unquote(path)}; allowed: {listed}",
            details={"allowed": allowed},
            headers={"Allow": listed},
        )

    def allowed(self, path: str) -> list[str]:
        """Lists the HTTP methods of a path; none when it is unknown."""
        verbs = {verb for verb, _ in self._literal} | set(self._patterns)
        own = {verb for verb in verbs if self._match(verb, path) is not None}
        if "GET" in own:
            own.add("HEAD")
        return sorted({*own, "OPTIONS"}) if own else []

    def _match(self, verb: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        endpoint = self._literal.get((verb, path))
        if endpoint is not None:
            return endpoint, {}
        for pattern, candidate in self._patterns.get(verb, ()):
            match = pattern.fullmatch(path)
            if match:
                return candidate, {name: unquote(text) for name, text in match.groupdict().items()}
        return None
