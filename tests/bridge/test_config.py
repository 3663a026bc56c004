import pytest
from pydantic import ValidationError

from inferry.bridge.config import BridgeConfig


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERRY_PORT", "4711")
    monkeypatch.setenv("INFERRY_CORS_ORIGINS", "https://a.example.com, https://b.example.com,")
    config = BridgeConfig()
    assert config.port == 4711
    assert config.cors_origins == ("https://a.example.com", "https://b.example.com")


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 65_536},
        {"port": "web"},
        {"body_timeout_ms": 0},
        {"prot": 1},
        {"public_url": "gateway.example.com"},
        {"public_url": "ftp://gateway.example.com"},
        {"public_url": "http://"},
        {"public_url": "http://[::1"},
        *({"cors_origins": origins} for origins in ('["https://a.example"]', "a.example")),
        *({"cors_origins": f"{origin}/"} for origin in ("https://a.example", "*")),
    ],
)
def test_a_setting_out_of_its_bounds_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BridgeConfig.model_validate(settings)


@pytest.mark.parametrize(
    "origin", ["*", "null", "http://localhost:3000", "app://-", "http://[::1]"]
)
def test_origins_are_written_as_browsers_send_them(origin: str) -> None:
    assert BridgeConfig.model_validate({"cors_origins": origin}).cors_origins == (origin,)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        BridgeConfig().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("public_url", "prefix"),
    [
        (None, ""),
        ("https://a.example.com", ""),
        ("https://a.example.com/", ""),
        ("https://a.example.com/inferry", "/inferry"),
        ("https://a.example.com/a/b/", "/a/b"),
        ("https://a.example.com//evil.example.com", "/evil.example.com"),
        ("https://a.example.com/é", "/%C3%A9"),
    ],
)
def test_the_prefix_of_links_is_the_path_of_the_public_url(
    public_url: str | None, prefix: str
) -> None:
    assert BridgeConfig(public_url=public_url).path_prefix == prefix
