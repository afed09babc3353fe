"""Code location and workers load without a network library: what every step and driver imports must stay light."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from geo_pipeline.methods.registry import METHODS
from geo_pipeline.orchestration import assets

HEAVY = ("torch", "ray", "transformers", "peft", "open_clip", "torchvision")
SHOW = "import sys, json, {}; print(json.dumps([name for name in {} if name in sys.modules]))"


def heavy_modules_after(module, heavy=HEAVY):
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(module, heavy)], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_code_location_imports_no_network_library():
    assert heavy_modules_after("geo_pipeline.definitions") == []


def test_a_worker_that_is_sent_away_is_named_without_importing_what_it_runs_on():
    sent = {method.worker().__module__ for method in METHODS.values() if method.remote}
    for path in Path(assets.__file__).parent.glob("*.py"):
        for name in re.findall(r"map_shards\(\s*(\w+),", text := path.read_text()):
            sent |= set(re.findall(rf"from (\S+) import .*\b{name}\b", text))
    assert {"geo_pipeline.segmentation.worker", "geo_pipeline.geosurge.worker", "geo_pipeline.imagery.ingest"} < sent
    assert heavy_modules_after(", ".join(sorted(sent)), (*HEAVY, "dagster")) == []


def test_two_thousand_shards_are_no_burden():
    """Every shard reads its own; a look at all pairs of shards would take minutes here."""
    code = (
        "import time; began = time.perf_counter(); from geo_pipeline.definitions import defs; "
        "graph = defs.resolve_asset_graph(); took = time.perf_counter() - began; "
        "nodes = [graph.get(key) for key in graph.get_all_asset_keys()]; "
        "mappings = {type(each).__name__ for node in nodes for each in node.partition_mappings.values()}; "
        "shards = max(len(node.partitions_def.get_partition_keys()) for node in nodes if node.partitions_def); "
        "import json; print(json.dumps([took, shards, sorted(mappings)]))"
    )
    environment = {**os.environ, "GEO_PIPELINE_SHARDS": "2000", "GEO_PIPELINE_HOME": "nowhere"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    took, shards, mappings = json.loads(done.stdout.splitlines()[-1])
    assert shards >= 2000
    assert set(mappings) <= {
        "IdentityPartitionMapping",
        "SpecificPartitionsPartitionMapping",
        "AllPartitionMapping",
        "StaticPartitionMapping",  # of variants: each shard of a benchmark by variant
    }
    assert took < 30


def test_the_command_line_starts_without_dagster_and_networks():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, geo_pipeline.cli; print('dagster' in sys.modules, 'torch' in sys.modules)"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "False"]


def test_configurations_and_what_workers_are_sent_import_no_pydantic():
    code = (
        "import sys, geo_pipeline.profiles.named, geo_pipeline.profiles.paper, geo_pipeline.orchestration.assets; "
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False"]


def test_the_probe_sees_a_heavy_import():
    assert "ray" in heavy_modules_after("ray")
