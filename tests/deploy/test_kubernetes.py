"""The manifests: as Kubernetes takes them, and as a gateway needs them."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic_settings import BaseSettings

from inferry.bridge.config import BridgeConfig
from inferry.server.app.gateway import LAST_WORDS_S
from inferry.server.config import Config
from tests.deploy.dockerfile import read_steps

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
DOCKERFILE = FOLDER.parent / "docker/Dockerfile"
KUSTOMIZATION = "kustomization.yaml"
#: The oldest that has what is used (``preStop.sleep``), and the newest that is known.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
Manifest = dict[str, Any]

MANIFESTS: dict[str, Manifest] = {
    path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.iterdir())
}
KINDS = {manifest["kind"]: manifest for manifest in MANIFESTS.values()}
POD = KINDS["Deployment"]["spec"]["template"]
(GATEWAY,) = POD["spec"]["containers"]
LABELS = POD["metadata"]["labels"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(set(MANIFESTS) - {KUSTOMIZATION}))
def test_kubernetes_takes_every_manifest(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    wrong = {**KINDS["PodDisruptionBudget"], "spec": {"maxUnavailble": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="maxUnavailble"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_kustomization_names_every_manifest_and_the_image() -> None:
    kustomization = MANIFESTS[KUSTOMIZATION]
    assert {*kustomization["resources"], KUSTOMIZATION} == set(MANIFESTS)
    assert [image["name"] for image in kustomization["images"]] == [GATEWAY["image"]]


def test_no_secret_stands_in_a_manifest() -> None:
    assert "Secret" not in KINDS
    given = {one["name"]: one["valueFrom"]["secretKeyRef"]["key"] for one in GATEWAY["env"]}
    assert given == {"INFERRY_STORE": "store", "INFERRY_JWT_SECRET": "jwt-secret"}


def test_everything_selects_the_gateways() -> None:
    selectors = [
        KINDS["Service"]["spec"]["selector"],
        KINDS["Deployment"]["spec"]["selector"]["matchLabels"],
        KINDS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        KINDS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in POD["spec"]["topologySpreadConstraints"]),
    ]
    assert all(selector.items() <= LABELS.items() and selector for selector in selectors)
    target = KINDS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (
        "Deployment",
        KINDS["Deployment"]["metadata"]["name"],
    )


def test_ports_are_those_of_the_image_by_name() -> None:
    ports = {port["name"]: port["containerPort"] for port in GATEWAY["ports"]}
    (exposed,) = [step for step in read_steps(DOCKERFILE) if step.name == "EXPOSE"]
    assert sorted(ports.values()) == sorted(map(int, exposed.words))
    service = {port["targetPort"]: port["port"] for port in KINDS["Service"]["spec"]["ports"]}
    assert service == ports
    (ingress,) = KINDS["NetworkPolicy"]["spec"]["ingress"]
    assert {port["port"] for port in ingress["ports"]} == set(ports)
    probes = [GATEWAY[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {"rest"}


def test_probes_ask_what_the_page_says() -> None:
    asked = {
        kind: GATEWAY[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "readiness", "liveness")
    }
    assert asked == {"startup": "/health", "readiness": "/health", "liveness": "/livez"}


def test_a_pod_has_the_time_to_stop_in_order() -> None:
    pause_s = GATEWAY["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = Config.model_fields["shutdown_grace_ms"].default / 1_000
    assert POD["spec"]["terminationGracePeriodSeconds"] > pause_s + grace_s + LAST_WORDS_S


def test_the_pod_runs_as_the_image_does_and_writes_nowhere_else() -> None:
    (user,) = [step for step in read_steps(DOCKERFILE) if step.name == "USER"]
    rights = POD["spec"]["securityContext"]
    assert f"{rights['runAsUser']}:{rights['runAsGroup']}" == user.text
    assert rights["runAsNonRoot"]
    assert GATEWAY["securityContext"]["readOnlyRootFilesystem"]
    (mount,) = GATEWAY["volumeMounts"]
    (volume,) = [step for step in read_steps(DOCKERFILE) if step.name == "VOLUME"]
    assert volume.listed == [mount["mountPath"]]


@pytest.mark.parametrize("kind", [Config, BridgeConfig])
def test_the_settings_are_good_ones(
    kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KINDS["ConfigMap"]["data"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INFERRY_HOST", "0.0.0.0")
    service, namespace = KINDS["Service"]["metadata"]["name"], MANIFESTS[KUSTOMIZATION]["namespace"]
    assert kind().model_dump()["public_url"] == f"http://{service}.{namespace}.svc:8787"
