"""What no table holds and a report says: names of methods and benchmarks, data, networks, protocol.

The tables belong in `inputs`, options of the run in `run_options`. Imports no table library: the assets' settings are
made of these values.
"""

from dataclasses import dataclass

from geo_pipeline.scoring.report.run_options import RunOptions


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
    (empty: the statement stands there). `options` are all other options of the run. `settings` are all settings that
    decide bytes as YAML, and `chosen` those that are not the profile's own: path, value, the profile's value.
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
    settings: str = ""
    chosen: tuple[tuple[str, str, str], ...] = ()
