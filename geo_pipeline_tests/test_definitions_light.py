"""The code location loads without a network library: what Dagster imports for every step must stay light."""

import json
import subprocess
import sys

HEAVY = ("torch", "ray", "transformers", "peft", "open_clip", "torchvision")
SHOW = f"import sys, json, {{}}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"


def heavy_modules_after(module):
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(module)], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_code_location_imports_no_network_library():
    assert heavy_modules_after("geo_pipeline.definitions") == []


def test_the_command_line_starts_without_dagster_and_networks():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, geo_pipeline.cli; print('dagster' in sys.modules, 'torch' in sys.modules)"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]


def test_the_probe_sees_a_heavy_import():
    assert "ray" in heavy_modules_after("ray")
