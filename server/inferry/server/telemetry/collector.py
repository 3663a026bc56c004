"""The collector that OpenTelemetry's variables name: where it is, and one request to it."""

import gzip
import os
import ssl
from urllib.parse import unquote

import aiohttp

_PATH = "/v1/traces"
_USUAL = "http://localhost:4318"
_PROTOCOL = "http/protobuf"
_TIMEOUT_S = 10.0
_FIRST_ERROR = 300


class CollectorError(Exception):
    """A variable asks for what is not done here; the message says what is."""


class Collector:
    """Takes requests of OTLP over HTTP, in protobuf.

    It reads ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``_HEADERS``, ``_TIMEOUT``, ``_COMPRESSION``,
    ``_CERTIFICATE`` and ``_PROTOCOL``, and those of ``OTEL_EXPORTER_OTLP_TRACES_`` before them.

    Raises:
        CollectorError: The protocol is another one, or a value cannot be read.
    """

    def __init__(self) -> None:
        protocol = _said("PROTOCOL") or _PROTOCOL
        if protocol != _PROTOCOL:
            raise CollectorError(
                f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r}; spans are sent by {_PROTOCOL}"
            )
        whole = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
        base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _USUAL
        self._url = whole or base.rstrip("/") + _PATH
        self._headers = {"Content-Type": "application/x-protobuf", **_headers(_said("HEADERS"))}
        self._zips = _said("COMPRESSION") == "gzip"
        if self._zips:
            self._headers["Content-Encoding"] = "gzip"
        try:
            self._timeout_s = float(_said("TIMEOUT") or _TIMEOUT_S)
            certificate = _said("CERTIFICATE")
            self._tls = ssl.create_default_context(cafile=certificate or None)
        except (OSError, ValueError) as error:
            raise CollectorError(f"OTEL_EXPORTER_OTLP_…: {error}") from None
        self._session: aiohttp.ClientSession | None = None

    async def take(self, request: bytes) -> str:
        """Sends a request; returns why it was not taken, empty if it was.

        Raises:
            ClientError: There was no answer.
            TimeoutError: It took too long.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=True)
        data = gzip.compress(request, 1) if self._zips else request
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with self._session.post(
            self._url, data=data, headers=self._headers, ssl=self._tls, timeout=timeout
        ) as response:
            await response.read()
            return f"the collector answers {response.status}" * (response.status >= _FIRST_ERROR)

    async def close(self) -> None:
        """Closes the connection."""
        if self._session is not None:
            await self._session.close()


def _said(name: str) -> str:
    """Gives what is said of traces, or else of all signals."""
    for prefix in ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"):
        value = os.environ.get(prefix + name, "").strip()
        if value:
            return value
    return ""


def _headers(text: str) -> dict[str, str]:
    """Reads ``key=value,key=value``, percent-encoded."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}
