"""From an HTTP method and a path to the endpoint that answers."""

import re
from collections.abc import Mapping
from typing import Generic, TypeVar
from urllib.parse import unquote

from inferry.bridge.errors import BridgeError
from inferry.wire.errors import show

Endpoint = TypeVar("Endpoint")

_VARIABLE = re.compile(r"\{([a-z0-9_]+)\}")


class Router(Generic[Endpoint]):
    """Endpoints by HTTP method and path template; HEAD is answered as GET.

    Slashes before and after a path do not matter; clients put base URL and path together. Those
    within do: ``/api/tasks//retry`` has lost its id, and is not for all tasks.

    Args:
        prefix: What may stand before all paths: not every proxy takes it away.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._literals: dict[str, dict[str, Endpoint]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Endpoint]]] = {}

    def add(self, verb: str, template: str, endpoint: Endpoint) -> None:
        """Adds an endpoint. A literal path is a place of its own: it hides those with variables."""
        if "{" not in template:
            self._literals.setdefault(template, {})[verb] = endpoint
            return
        pattern = "".join(
            f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part)
            for place, part in enumerate(_VARIABLE.split(template))
        )
        self._patterns.setdefault(template, (re.compile(pattern), {}))[1][verb] = endpoint

    def find(self, verb: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        """Finds the endpoint for a path as it was sent, and the values of its variables.

        Raises:
            BridgeError: 404 when the path is unknown, 405 when the method is none of its own.
        """
        endpoints, variables = self._place(path)
        endpoint = endpoints.get("GET" if verb == "HEAD" else verb)
        if endpoint is not None:
            return endpoint, variables
        allowed = _verbs(endpoints)
        listed = ", ".join(allowed)
        raise BridgeError(
            405,
            "METHOD_NOT_ALLOWED",
            f"{verb} is not for {show(unquote(path))}; allowed: {listed}",
            details={"allowed": allowed},
            headers={"Allow": listed},
        )

    def allowed(self, path: str) -> list[str]:
        """Lists the HTTP methods of a path.

        Raises:
            BridgeError: 404 when it is unknown.
        """
        return _verbs(self._place(path)[0])

    def reader(self, path: str) -> Endpoint | None:
        """Gives who answers a GET of a path, whatever is asked of it; None if nobody does.

        Raises:
            BridgeError: 404 when it is unknown.
        """
        return self._place(path)[0].get("GET")

    def _place(self, path: str) -> tuple[Mapping[str, Endpoint], Mapping[str, str]]:
        bare = f"/{path.strip('/')}"
        # A colon means the same when it is escaped, which some clients do.
        path, bare = path.replace("%3A", ":"), bare.replace("%3A", ":")
        within = bare.removeprefix(self._prefix) or "/"
        place = self._match(path) or self._match(bare) or self._match(within)
        if place is None:
            hint = f"{self._prefix}/docs lists all there is"
            text = f"there is nothing at {show(unquote(path))}; {hint}"
            raise BridgeError(404, "NOT_FOUND", text)
        return place

    def _match(self, path: str) -> tuple[Mapping[str, Endpoint], Mapping[str, str]] | None:
        endpoints = self._literals.get(path)
        if endpoints is not None:
            return endpoints, {}
        for pattern, candidates in self._patterns.values():
            match = pattern.fullmatch(path)
            if match:
                return candidates, {name: unquote(text) for name, text in match.groupdict().items()}
        return None


def _verbs(endpoints: Mapping[str, object]) -> list[str]:
    return sorted({*endpoints, "OPTIONS"} | ({"HEAD"} if "GET" in endpoints else set()))
