"""How the files of the web page are served."""

import gzip
import re
from pathlib import Path

import pytest

from inferry.bridge.web.files import BUNDLE, POLICY
from tests.bridge.upstream import Client, running_bridge

HASHED = [path.name for path in BUNDLE.iterdir() if path.suffix in {".js", ".css"}]
GUARDS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


async def test_the_page_may_load_its_own_files_and_nothing_else(client: Client) -> None:
    assert POLICY.split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    for name in ("", *HASHED, "notices.txt"):
        async with client.http.get(f"/ui/{name}") as response:
            assert response.status == 200
            assert {key: response.headers[key] for key in GUARDS} == GUARDS


async def test_what_is_named_by_its_hash_is_kept_and_what_names_it_is_not(client: Client) -> None:
    assert len(HASHED) == 2
    for name in HASHED:
        async with client.http.get(f"/ui/{name}") as response:
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    async with client.http.get("/ui/") as response:
        assert response.headers["Cache-Control"] == "no-cache"
        index = await response.text()
    assert set(re.findall(r'(?:src|href)="(app[^"]+)"', index)) == set(HASHED)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("identity", False), ("gzip;q=0", False)],
)
async def test_a_file_is_sent_packed_to_who_can_unpack_it(
    client: Client, accepted: str, packed: bool
) -> None:
    (name,) = (name for name in HASHED if name.endswith(".js"))
    headers = {"Accept-Encoding": accepted}
    async with client.http.get(f"/ui/{name}", headers=headers, auto_decompress=False) as response:
        body = await response.read()
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers.get("Content-Encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(body) if packed else body) == (BUNDLE / name).read_bytes()


async def test_what_other_origins_may_do_varies_beside_how_it_is_packed() -> None:
    async with (
        running_bridge(cors_origins=("https://app.example.com",)) as client,
        client.http.get("/ui/") as response,
    ):
        assert response.headers["Vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize("prefix", ["", "/inferry", "/a/b"])
async def test_the_page_works_below_any_path(prefix: str) -> None:
    async with running_bridge(public_url=f"https://gateway.example.com{prefix}") as client:
        async with client.http.get(f"{prefix}/ui", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, "ui/")
        async with client.http.get(f"{prefix}/ui") as response:
            assert response.url.path == f"{prefix}/ui/"
            links = re.findall(r'(?:src|href)="([^"]+)"', await response.text())
        for link in links:
            if link.startswith("data:"):
                continue
            assert not link.startswith(("/", "http"))
            async with client.http.get(f"{prefix}/ui/{link}") as response:
                assert response.status == 200


async def test_without_the_setting_there_is_no_page() -> None:
    async with running_bridge(web=False) as client:
        for path in ("/ui", "/ui/", f"/ui/{HASHED[0]}"):
            async with client.http.get(path) as response:
                assert response.status == 404


@pytest.mark.parametrize("hidden", [True, False])
async def test_the_page_is_told_whether_to_hide_payloads(hidden: bool) -> None:
    async with running_bridge(web_hide_payload=hidden) as client:
        async with client.http.get("/ui/") as response:
            index = await response.text()
        assert f'<meta name="hide-payload" content="{str(hidden).lower()}">' in index


async def test_the_folder_holds_nothing_else_that_is_served(client: Client) -> None:
    for path in ("/ui/../config.py", "/ui/%2e%2e/config.py", "/ui/files.py", "/ui/page/build.js"):
        async with client.http.get(path) as response:
            assert response.status == 404


def test_the_bundle_is_small() -> None:
    parts = [(BUNDLE / name).read_bytes() for name in ("index.html", *HASHED)]
    assert sum(map(len, parts)) <= 110 * 1024
    assert sum(len(gzip.compress(part)) for part in parts) <= 40 * 1024


def test_the_bundle_brings_nothing_from_elsewhere_and_no_map() -> None:
    for path in BUNDLE.iterdir():
        text = path.read_text()
        assert "sourceMappingURL" not in text
        if path.suffix == ".css":
            assert not re.search(r"url\(|@import|@font-face", text)
        if path.suffix == ".html":
            assert not re.search(r"style=|<script>|<style", text)


def test_what_others_wrote_is_named_with_its_terms() -> None:
    notices = (BUNDLE / "notices.txt").read_text()
    for name in ("preact", "@preact/signals", "@preact/signals-core"):
        assert re.search(rf"^{name} \d+\.\d+\.\d+$", notices, re.MULTILINE)
    assert "Permission is hereby granted" in notices


def test_the_bundle_is_nothing_but_what_is_built() -> None:
    suffixes = sorted(Path(path).suffix for path in BUNDLE.iterdir())
    assert suffixes == [".css", ".html", ".js", ".txt"]
