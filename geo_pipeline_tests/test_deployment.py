"""The files of docs/deployment say what the code does; whether a cluster runs them cannot be seen here."""

import re
from pathlib import Path

import yaml
from dagster._core.instance.config import dagster_instance_config_schema

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "deployment"
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and line[0] != "#"
)


def document(name):
    return yaml.safe_load((FOLDER / name).read_text())


def test_the_image_copies_files_that_are_there():
    copies = re.findall(r"^COPY (.+) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert [path for line in copies for path in line.split() if not (ROOT / path).exists()] == []


def test_nodes_run_the_pinned_ray():
    assert document("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == PINS["ray"]


def test_every_service_shares_the_home_and_nothing_leaves_the_machine():
    services = document("compose.yaml")["services"]
    assert {name for name, service in services.items() if "shared:/shared" not in service["volumes"]} == {"postgres"}
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_dagsters_settings_are_fields_that_dagster_knows():
    known = dagster_instance_config_schema()
    assert set(document("dagster.yaml")) - set(known) == set()


def test_what_was_not_run_is_marked():
    for path in FOLDER.iterdir():
        if path.name != "README.md":
            assert path.read_text().startswith("# Not run here"), path.name
            assert path.name in (FOLDER / "README.md").read_text()
