"""What a report is made of: tables by name, and the words that say what they are.

Holds the frozen inputs and the small joins and counts that bring the lineage's tables into their shape. Which numbers
are shown, and how, belongs in `report_content`; how a score is computed belongs in `accuracy` and `routing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.scoring.accuracy import errors_km
from geo_pipeline.scoring.cell_hits import CellHits
from geo_pipeline.scoring.examples import Example
from geo_pipeline.scoring.published import PublishedRow
from geo_pipeline.scoring.run_options import RunOptions

JUDGED_SCHEMA = pa.schema(
    [
        pa.field("benchmark", pa.string()),
        pa.field("method", pa.string()),
        pa.field("image_id", pa.string()),
        pa.field("author", pa.string()),
        pa.field("truth_lat_deg", pa.float64()),
        pa.field("truth_lon_deg", pa.float64()),
        pa.field("lat_deg", pa.float64()),
        pa.field("lon_deg", pa.float64()),
        pa.field("error_km", pa.float64()),
        pa.field("failure", pa.string()),
        pa.field("chosen", pa.string()),
    ]
)


class ReportError(ValueError):
    """The inputs do not make a report; the message says what was found, what was expected and what to do next."""


@dataclass(frozen=True)
class MethodLine:
    """One method as the report names it. `paradigm` is `retrieval`, `generation`, `router`, `guess` or `oracle`.

    A `baseline` stands in the tables, not in the figure of all methods, which would be too crowded to read.
    """

    name: str
    title: str
    paradigm: str
    baseline: bool = False


@dataclass(frozen=True)
class BenchmarkLine:
    """One benchmark as the report names it. Rows of papers are shown for a `published` benchmark only."""

    name: str
    title: str
    published: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportContext:
    """What no table holds: what the data is and is not, which networks ran, under which protocol.

    `statement` is one or two plain sentences for a stranger (for example "A drawn planet, not the Earth. The networks
    are small and trained on drawn planets."). `models` pairs a role with a model's name. `methods` and `benchmarks`
    stand in the order of the report. Images whose perceptual hashes differ in at most `near_bits` bits are near-equal.
    `source` says in a few words, for the source column beside published rows, what data and which networks these are
    (empty: the statement stands there). `options` are all other options of the run.
    """

    profile: str
    seed: int
    statement: str
    methods: tuple[MethodLine, ...]
    benchmarks: tuple[BenchmarkLine, ...]
    models: tuple[tuple[str, str], ...]
    distance: str = "great_circle"
    crops: str = "ten"
    score_rule: str = "log_softmax"
    near_bits: int = 6
    remarks: tuple[str, ...] = ()
    source: str = ""
    options: RunOptions | None = None


@dataclass(frozen=True)
class ReportInputs:
    """The tables of one report.

    scores, routing_scores: the tables of those names, all benchmarks one below the other.
    judged: every method's prediction of every benchmark image beside its truth (`judge`), JUDGED_SCHEMA.
    georouting: the table of that name, or None when no router was trained.
    training_curves: the table of that name per checkpoint.
    coverage: the table of that name.
    census, leakage: the tables of those names.
    published: rows of papers per benchmark; only those of published benchmarks are shown.
    examples: successes and failures for a page of their own (`examples`); without any there is no such page.
    cell_hits: how the methods that name cells meet those of the finest partition, by benchmark and method.
    """

    context: ReportContext
    scores: pa.Table
    routing_scores: pa.Table
    judged: pa.Table
    coverage: pa.Table
    census: pa.Table
    leakage: pa.Table
    georouting: pa.Table | None = None
    training_curves: Mapping[str, pa.Table] = field(default_factory=dict)
    published: Mapping[str, tuple[PublishedRow, ...]] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    cell_hits: Mapping[tuple[str, str], CellHits] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies: `report.md`, the self-contained `index.html`, and the figures that the Markdown shows.

    examples: the self-contained `examples.html` where there are examples, with `examples.md` beside it; its figures are
    among `figures`.
    """

    markdown: Path
    html: Path
    figures: tuple[Path, ...]
    examples: Path | None = None


def judge(benchmark: str, predictions: pa.Table, truth: pa.Table, distance: str = "great_circle") -> pa.Table:
    """Stand predictions beside the truth of one benchmark.

    predictions: columns of the table `predictions`, any number of methods. truth: image_id, lat_deg, lon_deg, and
    author where known. Returns JUDGED_SCHEMA with one row per method and truth row, ordered by method, then image: an
    image without a prediction is a failure (`no_prediction`) with an infinite error. Raises ReportError when a
    prediction names an image that the truth does not hold.
    """
    ids = truth.column("image_id").to_pylist()
    row_of = {image_id: row for row, image_id in enumerate(ids)}
    order = np.argsort(np.asarray(ids, dtype=str), kind="stable")
    unknown = [name for name in predictions.column("image_id").to_pylist() if name not in row_of]
    if unknown:
        raise ReportError(
            f"found {len(unknown)} predictions for images outside benchmark {benchmark} (first: {unknown[0]}); "
            f"expected only its {len(ids)} images; rematerialize the predictions of this benchmark"
        )
    methods = sorted(set(predictions.column("method").to_pylist()))
    parts = [_judge_one(benchmark, name, predictions, truth, row_of, order, distance) for name in methods]
    return pa.concat_tables(parts) if parts else JUDGED_SCHEMA.empty_table()


def _judge_one(
    benchmark: str,
    method: str,
    predictions: pa.Table,
    truth: pa.Table,
    row_of: Mapping[str, int],
    order: np.ndarray,
    distance: str,
) -> pa.Table:
    mine = predictions.filter(pc.equal(predictions.column("method"), method))
    count = truth.num_rows
    lat, lon = np.full(count, np.nan), np.full(count, np.nan)
    failure: list[str | None] = ["no_prediction"] * count
    chosen: list[str | None] = [None] * count
    given = mine.column("chosen").to_pylist() if "chosen" in mine.column_names else [None] * mine.num_rows
    for row in zip(
        mine.column("image_id").to_pylist(),
        mine.column("lat_deg").to_pylist(),
        mine.column("lon_deg").to_pylist(),
        mine.column("failure").to_pylist(),
        given,
        strict=True,
    ):
        at = row_of[row[0]]
        lat[at], lon[at] = (np.nan if value is None else value for value in row[1:3])
        failure[at], chosen[at] = row[3], row[4]
    truth_lat = truth.column("lat_deg").to_numpy()
    truth_lon = truth.column("lon_deg").to_numpy()
    error = errors_km(lat, lon, truth_lat, truth_lon, distance)
    authors = truth.column("author") if "author" in truth.column_names else pa.nulls(count, pa.string())
    columns = {
        "benchmark": pa.array([benchmark] * count, pa.string()),
        "method": pa.array([method] * count, pa.string()),
        "image_id": truth.column("image_id"),
        "author": authors,
        "truth_lat_deg": pa.array(truth_lat),
        "truth_lon_deg": pa.array(truth_lon),
        "lat_deg": pa.array(lat, mask=np.isnan(lat)),
        "lon_deg": pa.array(lon, mask=np.isnan(lon)),
        "error_km": pa.array(error),
        "failure": pa.array(failure, pa.string()),
        "chosen": pa.array(chosen, pa.string()),
    }
    return pa.table(columns).cast(JUDGED_SCHEMA).take(pa.array(order))
