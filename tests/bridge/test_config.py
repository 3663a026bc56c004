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
    "settings", [{"port": 65_536}, {"port": "web"}, {"body_timeout_ms": 0}, {"prot": 1}]
)
def test_a_setting_out_of_its_bounds_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BridgeConfig.model_validate(settings)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        BridgeConfig().port = 1  # type: ignore[misc]
