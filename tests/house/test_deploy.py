"""The files to deploy by: readable, without a secret, hardened, and what they type is what crmsync understands."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from crmsync.cli.commands import COMMANDS
from tests.house.test_layers import ROOT

DEPLOY = ROOT / "examples" / "deploy"
FILES = sorted(path.name for path in DEPLOY.iterdir())
COMPOSE = ["compose-postgres.yaml", "compose.yaml"]


def read(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def test_every_file_is_known_to_the_docs():
    told = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert [name for name in FILES if f"examples/deploy/{name}" not in told] == []
    assert [*COMPOSE, "crmsync.service", "kubernetes.yaml"] == FILES


@pytest.mark.parametrize("name", FILES)
def test_each_says_how_plan_and_apply_are_typed(name):
    typed = set(re.findall(r"crmsync(?: crmsync|/bin/crmsync)? (\w+)(?= |$)", read(name), re.MULTILINE))
    assert {"plan"} <= typed & {*COMMANDS}


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_runs_one_image_without_rights_on_a_tree_that_is_read_only(name):
    worker = yaml.safe_load(read(name))["services"]["crmsync"]
    assert worker["read_only"] is True
    assert worker["cap_drop"] == ["ALL"]
    assert worker["init"] is True
    assert worker["restart"] == "unless-stopped"
    assert int(worker["stop_grace_period"].rstrip("s")) > 8
    assert all(each.endswith(":ro") for each in worker["volumes"] if each.startswith("./"))
    assert not [key for key in worker["environment"] if re.search("TOKEN|SECRET_|PASSWORD", key)]


def test_kubernetes_keeps_one_of_two_workers_and_lets_an_upgrade_through():
    deployment, budget, service = yaml.safe_load_all(read("kubernetes.yaml"))
    spec = deployment["spec"]
    (worker,) = spec["template"]["spec"]["containers"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    assert (
        labels
        == spec["selector"]["matchLabels"]
        == budget["spec"]["selector"]["matchLabels"]
        == service["spec"]["selector"]
    )
    # By /readyz the worker that stands by never is, and the other one would never be replaced.
    assert worker["readinessProbe"]["httpGet"]["path"] == worker["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert worker["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    mounted = {each["name"] for each in worker["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["template"]["spec"]["volumes"]}


def test_the_user_of_the_image_is_the_one_that_is_named():
    user = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))[1]
    assert user in read("compose.yaml")
    assert f"runAsUser: {user}" in read("kubernetes.yaml")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="LEFT OUT: systemd-analyze is not on this machine")
def test_systemd_reads_the_unit(tmp_path):
    # With a program that is there: that of the unit is installed elsewhere.
    unit = tmp_path / "crmsync.service"
    unit.write_text(read("crmsync.service").replace("/opt/crmsync/bin/crmsync", "/bin/true"), encoding="utf-8")
    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    said = [line for line in found.stderr.splitlines() if str(unit.name) in line]
    assert (found.returncode, said) == (0, [])
