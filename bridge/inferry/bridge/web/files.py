"""The files of the web page, read and packed once: what is served is in memory."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from inferry.bridge.exchange import Exchange

#: What `make page` builds.
BUNDLE = Path(__file__).with_name("bundle")
INDEX = "index.html"

#: The page may do what it needs to: load its two files, call its own gateway, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
#: Its name has a hash of what is in it: another one has another name.
_HASHED = {".css", ".js"}
#: What the page reads its settings from.
_SETTING = b'<meta name="hide-payload" content="%s">'


@dataclass(frozen=True, slots=True)
class _Content:
    """A file as it is sent."""

    plain: bytes
    packed: bytes
    content_type: str
    caching: str


class File:
    """Answers with one file of the page."""

    def __init__(self, name: str, plain: bytes) -> None:
        suffix = Path(name).suffix
        hashed = suffix in _HASHED
        self._is_index = name == INDEX
        self._content = _Content(
            plain=plain,
            # Without a time: each start gives the same bytes.
            packed=gzip.compress(plain, mtime=0),
            content_type=_TYPES[suffix],
            caching="public, max-age=31536000, immutable" if hashed else "no-cache",
        )

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200, or 308 where the page's own relative links would lead astray."""
        if self._is_index and not exchange.request.rel_url.raw_path.endswith("/"):
            # Relative, as all links here: whatever stands before stays before.
            return exchange.reply(b"", self._content.content_type, 308, {"Location": "ui/"})
        content = self._content
        vary = filter(None, (exchange.headers.get("Vary"), "Accept-Encoding"))
        headers = _HEADERS | {"Cache-Control": content.caching, "Vary": ", ".join(vary)}
        body = content.plain
        if _takes_gzip(exchange.request.headers.get("Accept-Encoding", "")):
            body, headers["Content-Encoding"] = content.packed, "gzip"
        return exchange.reply(body, content.content_type, headers=headers)


def web_files(*, hide_payload: bool) -> Mapping[str, File]:
    """Reads the page; gives the files by their paths below the gateway's.

    Args:
        hide_payload: Whether the page shows neither payloads nor results.
    """
    found = {}
    for path in sorted(BUNDLE.iterdir()):
        plain = path.read_bytes()
        if path.name == INDEX:
            plain = plain.replace(
                _SETTING % b"false", _SETTING % str(hide_payload).lower().encode()
            )
            found["/ui"] = found["/ui/"] = File(path.name, plain)
        else:
            found[f"/ui/{path.name}"] = File(path.name, plain)
    return found


def _takes_gzip(accepted: str) -> bool:
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
