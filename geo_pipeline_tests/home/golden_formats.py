"""The bytes of what a home stores, by format number; `python -m geo_pipeline_tests.home.golden_formats` adds a format.

A format that has an entry is never written anew: other bytes need another `home.home.FORMAT`. Only where a contract
changes the columns of a table (which count in code versions by themselves) is its entry taken out and added again.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geo_pipeline.contracts.contract import load
from geo_pipeline.home import halves
from geo_pipeline.home.artifact import checkpoint, manifest, table
from geo_pipeline.home.home import FORMAT, Home

SIZES = ("COMPRESSION", "PAGE_BYTES", "VECTOR_ROW_GROUP_ROWS", "ROW_GROUP_ROWS", "BINARY_ROW_GROUP_ROWS")
"""What decides the layout of larger tables than are stored here; constants of home.halves."""
GOLDEN = Path(__file__).with_name("golden_formats.json")
FINGERPRINT = "0123456789abcdef:00112233445566778899aabbccddeeff"


def stored(root):
    """A home with one of each kind of stored thing."""
    home = Home(root)
    feature = pa.array([[0.25, -0.5], [1.0, 0.0]], pa.list_(pa.float16()))
    rows = pa.table({"image_id": ["a", "b"], "feature": feature})
    home.write_table("features", "reference-000", rows, FINGERPRINT)
    maps = [{"image_id": "a", "class_map_png": b"\x89PNG\r\n\x1a\n" + b"0" * 80, "width": 4, "height": 3}]
    home.write_table("segmentations", "reference-000", load("segmentations").table(**_columns(maps)), FINGERPRINT)
    home.write_manifest("image_manifest", {"images/reference-000": "0" * 32}, FINGERPRINT)
    built = home.building_location(checkpoint("c"), FINGERPRINT)
    (built / "tensorboard").mkdir(parents=True)
    (built / "card.json").write_text("{}")
    (built / "curves.html").write_text("a page is no content")
    home.commit_folder(checkpoint("c"), FINGERPRINT)
    return home


def found(home):
    """For each stored file: the digest of its bytes, and what can be said of it whatever wrote Parquet."""
    files = [home.location(table(name, "reference-000")) for name in ("features", "segmentations")]
    files += [home.location(manifest("image_manifest")), home.location(checkpoint("c")) / "fingerprint.json"]
    return {
        str(file.relative_to(home.root)): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "layout": layout(file) if file.suffix == ".parquet" else sorted(json.loads(file.read_text())),
        }
        for file in files
    }


def sizes():
    """The value of each of SIZES."""
    return {name: getattr(halves, name) for name in SIZES}


def layout(file):
    """Schema, row groups, compression and metadata of a Parquet file."""
    footer = pq.read_metadata(file)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    schema = footer.schema.to_arrow_schema()
    return {
        "schema": [f"{field.name}: {field.type}" for field in schema],
        "rows": [group.num_rows for group in groups],
        "compression": sorted({group.column(at).compression for group in groups for at in range(group.num_columns)}),
        "metadata": sorted(key.decode() for key in footer.metadata or {} if key != b"ARROW:schema"),
        "content_hash": (footer.metadata or {})[b"content_hash"].decode(),
    }


def _columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


if __name__ == "__main__":
    known = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        now = {"pyarrow": pa.__version__, "files": found(stored(Path(folder))), "sizes": sizes()}
    if known.get(str(FORMAT), now) != now:
        sys.exit(f"found other bytes than format {FORMAT} has, expected another FORMAT in home.home; raise it first")
    GOLDEN.write_text(json.dumps({**known, str(FORMAT): now}, indent=1, sort_keys=True) + "\n")
