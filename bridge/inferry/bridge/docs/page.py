"""Puts the page together, and what browsers may do with it."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from importlib import resources
from string import Template

from inferry.bridge import docs
from inferry.bridge.routes import Route


def docs_page(
    routes: list[Route], comments: Mapping[str, str], version: str, prefix: str
) -> tuple[bytes, Mapping[str, str]]:
    """Prints the page; returns it with its headers.

    Args:
        routes: What is served.
        comments: What stands above each RPC in the protos, by full name.
        version: The gateway's.
        prefix: What stands before the paths.
    """
    style, script = _read("docs.css"), _read("docs.js")
    page = Template(_read("docs.html")).substitute(
        style=style,
        script=script,
        version=escape(version),
        prefix=escape(prefix),
        rows="\n".join(_row(route, comments.get(route.rpc, "")) for route in routes),
    )
    return page.encode(), _headers(style, script)


def _row(route: Route, summary: str) -> str:
    verb, path = escape(route.verb), escape(route.template)
    return (
        f'<details data-verb="{verb}" data-path="{path}"><summary><code>{verb} {path}</code> '
        f"{escape(summary)}</summary></details>"
    )


def _headers(style: str, script: str) -> Mapping[str, str]:
    """Allows what stands in the page, calls of this gateway, and nothing else."""
    policy = {
        "default-src": "'none'",
        "style-src": _source(style),
        "script-src": _source(script),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return resources.files(docs).joinpath(name).read_text()
