import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from geo_pipeline.contracts.contract import load
from geo_pipeline.geosurge.config import InferenceConfig
from geo_pipeline.methods.cplanet import CPLANET, CPLANET_WITHOUT_IDEA
from geo_pipeline.methods.geoclip import GEOCLIP, GEOCLIP_WITHOUT_IDEA
from geo_pipeline.methods.geodecoder import GEODECODER, GEODECODER_WITHOUT_IDEA
from geo_pipeline.methods.isns import ISNS, ISNS_WITHOUT_IDEA
from geo_pipeline.methods.lknn import LKNN, LKNN_WITHOUT_IDEA
from geo_pipeline.methods.pigeon import PIGEON, PIGEON_WITHOUT_IDEA
from geo_pipeline.methods.planet_net import PLANET_NET, PLANET_NET_WITHOUT_IDEA
from geo_pipeline.methods.translocator import TRANSLOCATOR, TRANSLOCATOR_WITHOUT_IDEA

ENTRIES = (
    *(
        LKNN,
        LKNN_WITHOUT_IDEA,
        PLANET_NET,
        PLANET_NET_WITHOUT_IDEA,
        CPLANET,
        CPLANET_WITHOUT_IDEA,
        ISNS,
        ISNS_WITHOUT_IDEA,
    ),
    *(TRANSLOCATOR, TRANSLOCATOR_WITHOUT_IDEA, GEODECODER, GEODECODER_WITHOUT_IDEA),
    *(GEOCLIP, GEOCLIP_WITHOUT_IDEA, PIGEON, PIGEON_WITHOUT_IDEA),
)


class TinyReads:
    """The tables and checkpoints of the tiny world, and a list of what was asked for."""

    def __init__(self, world, checkpoint_of):
        self.profile = SimpleNamespace(inference=InferenceConfig(crops="centre"))
        self.world, self.checkpoint_of, self.asked = world, checkpoint_of, set()

    def checkpoint(self, name):
        self.asked.add("baseline_checkpoints")
        method = name.removesuffix("_checkpoint")
        return self.checkpoint_of(method.removesuffix("_without_idea"), not method.endswith("_without_idea"))

    def table(self, name, key="all", columns=None):
        self.asked.add(name)
        rows = pq.read_table(getattr(self.world, name)).select(list(columns))
        return rows.take(np.arange(len(rows))[::-1]) if name == "segmentations" else rows


@pytest.mark.parametrize("method", ENTRIES, ids=lambda method: method.name)
def test_an_entry_reads_what_it_declares_and_answers_every_query(world, checkpoint_of, predictions_of, method):
    reads = TinyReads(world, checkpoint_of)
    worker = method.worker()(**method.arguments(reads), device="cpu")
    found = load("predictions").conform(worker(method.queries(reads, "towns")))
    assert reads.asked == set(method.upstream)
    baseline, without = method.name.removesuffix("_without_idea"), method.name.endswith("_without_idea")
    assert set(found["method"].to_pylist()) == {method.name}
    for column in ("image_id", "lat_deg", "lon_deg", "score"):  # maps found by id, whatever their order
        assert found[column].equals(predictions_of(baseline, not without)[column])


def test_entries_are_torch_free_and_have_names_of_their_own():
    probe = (
        "import sys\n"
        "from geo_pipeline.methods import cplanet, geoclip, geodecoder, isns, lknn, pigeon, planet_net, translocator\n"
        "print('torch' in sys.modules, 'dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "False"]
    for field in ("name", "title", "checkpoint", "description"):
        assert len({getattr(method, field) for method in ENTRIES}) == len(ENTRIES)
    assert {method.query_sets for method in ENTRIES} == {"benchmarks"}  # a training query would find itself
    assert "segmentations" in ISNS.upstream
    assert "segmentations" not in ISNS_WITHOUT_IDEA.upstream
    assert "segmentations" in TRANSLOCATOR.upstream
    assert "segmentations" not in GEODECODER.upstream  # scenes label its training alone
