"""The `geo-pipeline` command.

Each command imports what it needs when it runs, so that help and mistakes are answered at once.
"""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from geo_pipeline.commands.options import (
    DEFAULT_HOME,
    BaselinesOption,
    BenchmarkOption,
    ClipOption,
    ConfigOption,
    FormatOption,
    GpusOption,
    HomeOption,
    ImagesOption,
    JsonOption,
    LinksOption,
    MetadataOption,
    OneFormerOption,
    ProfileOption,
    QwenOption,
    RehearsalOption,
    RejectedOption,
    SeedOption,
    SetOption,
    ShardsOption,
    VersionOption,
    WorkersOption,
)
from geo_pipeline.commands.plain_errors import plain_errors
from geo_pipeline.commands.sample_world import sample_app
from geo_pipeline.commands.stopping import StopsAtSignals

app = typer.Typer(
    name="geo-pipeline",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

app.add_typer(sample_app, name="sample")


@app.callback()
def options(
    version: VersionOption = False,
) -> None:
    """From photographs to coordinates to a benchmark report."""


@app.command()
def run(
    profile: ProfileOption = None,
    images: ImagesOption = None,
    metadata: MetadataOption = None,
    format: FormatOption = None,
    benchmark: BenchmarkOption = None,
    shards: ShardsOption = None,
    max_rejected: RejectedOption = None,
    baselines: BaselinesOption = None,
    follow_links: LinksOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    gpus: GpusOption = None,
    workers: WorkersOption = None,
    clip: ClipOption = None,
    oneformer: OneFormerOption = None,
    qwen2vl: QwenOption = None,
    home: HomeOption = DEFAULT_HOME,
    seed: SeedOption = None,
    select: Annotated[
        str | None,
        typer.Option(
            "--select", help="A Dagster asset selection: 'geocells', 'geocells+', '+comparison_report', 'a or b'."
        ),
    ] = None,
    again: Annotated[
        str | None,
        typer.Option("--again", help="A selection that is made though it is fresh (what comes out as it was stays)."),
    ] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Without Ray, in this process.")] = False,
) -> None:
    """Bring every asset of the lineage up to date: photographs in, benchmark report out.

    The home keeps these options; what is not given is as in its last run. An empty option takes one away.
    """
    with plain_errors(), StopsAtSignals():
        from geo_pipeline.commands.run import run_lineage
        from geo_pipeline.home.lock import held
        from geo_pipeline.profiles.choices import (
            Choices,
            baselines_of,
            benchmarks_of,
            choices_of_environment,
            config_of,
            settings_of,
        )
        from geo_pipeline.profiles.named import named_profile, settled

        environment = choices_of_environment(os.environ)
        benchmarks = benchmarks_of(benchmark) if benchmark else environment.benchmarks
        settings = {**(environment.settings or {}), **(settings_of(set_ or (), gpus, workers) or {})}
        text = None if config is None else config_of(config)
        chosen_baselines = baselines_of(baselines) if baselines else None
        files = (images, metadata, format, benchmarks, shards, max_rejected)
        given = Choices(
            profile, seed, *files, chosen_baselines, follow_links, text, settings or None, clip, oneformer, qwen2vl
        )
        choices = settled(given, home)
        chosen = named_profile(choices)
        chosen.check_start(in_process)
        with held(home, typer.echo):
            choices.remember(home)
            run_lineage(chosen, home, select, in_process, again)


@app.command()
def settings(
    profile: ProfileOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print every setting with its value and type, as YAML that `run --config` reads.

    Of a profile, or of the home as it was last run; with --config and --set as these would have it.
    """
    with plain_errors():
        from geo_pipeline.profiles.choices import Choices, choices_of_environment, config_of, settings_of
        from geo_pipeline.profiles.named import profile_to_show
        from geo_pipeline.profiles.settings import written

        said = {**(choices_of_environment(os.environ).settings or {}), **(settings_of(set_ or ()) or {})}
        text = None if config is None else config_of(config)
        given = Choices(profile, config=text, settings=said or None)
        typer.echo(written(profile_to_show(given, home)), nl=False)


@app.command()
def accept(
    selection: Annotated[str, typer.Argument(help="A Dagster asset selection, such as 'geosurge_checkpoint' or '*'.")],
    why: Annotated[str, typer.Option("--why", help="Why the edit changes no byte; kept in the home.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Say that an edit of the code changes no byte: what is stale by its code alone counts as fresh.

    What has other inputs than when it was made stays stale.
    """
    with plain_errors():
        from geo_pipeline.commands.accept import accept_selection
        from geo_pipeline.home.home import Home
        from geo_pipeline.profiles.named import remembered_profile

        for line in accept_selection(remembered_profile(home), Home(home), selection, why):
            typer.echo(line)


@app.command()
def observe(home: HomeOption = DEFAULT_HOME) -> None:
    """Look at the photographs and note which shards hold others than before; `run` does so by itself."""
    with plain_errors():
        from geo_pipeline.commands.observe import observe_photographs

        typer.echo(observe_photographs(home))


@app.command()
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Say for every asset of a home how many shards are fresh, stale or missing, and why."""
    with plain_errors():
        from geo_pipeline.commands.printing import console, json_text, nothing_run
        from geo_pipeline.profiles.choices import REMEMBERED, refuse_lost_choices

        if not (home / REMEMBERED).is_file():
            refuse_lost_choices(home)
            typer.echo(json_text({"home": str(home), "profile": None, "assets": []}) if as_json else nothing_run(home))
            return
        from geo_pipeline.commands import status as command
        from geo_pipeline.home.home import Home
        from geo_pipeline.profiles.named import remembered_profile

        profile, opened = remembered_profile(home), Home(home)
        states = command.status(opened, profile)
        if as_json:
            typer.echo(json_text(command.to_json(profile, opened, states)))
        else:
            command.print_status(console(), profile, opened, states)


@app.command()
def locate(
    images: Annotated[list[Path], typer.Argument(help="Photographs to locate.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say where photographs were taken: both paradigms, the router's choice, and the nearest references.

    The home knows the profile it was run with.
    """
    with plain_errors():
        from geo_pipeline.commands.locate import locate_images, location_text
        from geo_pipeline.commands.printing import json_text, shown
        from geo_pipeline.home.home import Home
        from geo_pipeline.profiles.named import remembered_profile

        found = locate_images(remembered_profile(home), Home(home), images)
        typer.echo(json_text(found) if as_json else "\n\n".join(shown(location_text(each)) for each in found))
        refused = sum("refused" in each for each in found)
        if refused:
            typer.echo(
                f"geo-pipeline: {refused} of {len(found)} photographs cannot be read; the others stand", err=True
            )
            raise typer.Exit(1)


@app.command()
def score(
    predictions: Annotated[str, typer.Argument(help="Predictions: CSV, Parquet or JSON; a path or a URL.")],
    truth: Annotated[str, typer.Option("--truth", help="The true coordinates, in a file of the same kinds.")],
    distance: Annotated[str, typer.Option("--distance", help="great_circle or wgs84.")] = "great_circle",
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Columns of the predictions, where not understood: id=..,lat=..,lon=.."),
    ] = None,
    truth_columns: Annotated[
        str | None,
        typer.Option("--truth-columns", help="Columns of the truth, where not understood: id=..,lat=..,lon=.."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            help="Count only queries whose true place lies inside: lat_min,lon_min,lat_max,lon_max (-20,170,-10,-170 "
            "crosses the date line), a GeoJSON file of polygons, or the token of an S2 cell.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a predictions file against the truth: accuracy within 1, 25, 200, 750 and 2500 km."""
    with plain_errors():
        from geo_pipeline.commands.printing import json_text, shown
        from geo_pipeline.commands.score import score_text, scored

        found = scored(predictions, truth, distance, columns, truth_columns, region)
        typer.echo(json_text(found.to_json()) if as_json else shown(score_text(found)))


@app.command()
def partition(
    coordinates: Annotated[
        str, typer.Argument(help="CSV, Parquet or JSON with latitude and longitude; a path or a URL.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the cells, their coverage and the map.")],
    tau_min: Annotated[int, typer.Option("--tau-min", help="Least number of photographs in a cell.")] = 50,
    tau_max: Annotated[
        list[int] | None,
        typer.Option(
            "--tau-max", help="Most in a cell; once per partition, coarsest first. The paper's seven without."
        ),
    ] = None,
    semantics: Annotated[str, typer.Option("--semantics", help="geosurge or isn.")] = "geosurge",
    coordinate: Annotated[
        str, typer.Option("--coordinate", help="What a cell predicts: the mean of its photographs, or its centre.")
    ] = "mean",
    geojson: Annotated[
        bool, typer.Option("--geojson", help="Also the outlines of the cells, for maps: cells.geojson.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Cut the Earth into S2 cells by where photographs lie: cells as Parquet and CSV, coverage, and a map."""
    with plain_errors():
        from geo_pipeline.commands import partition as command
        from geo_pipeline.commands.printing import console, json_text
        from geo_pipeline.earth.partition import PartitionConfig

        limits = tuple(tau_max) if tau_max else PartitionConfig().tau_max
        config = PartitionConfig(tau_min, limits, semantics, coordinate=coordinate)  # type: ignore[arg-type]
        found = command.partition_file(coordinates, config)
        written = command.write_partition(found, out, geojson)
        if as_json:
            typer.echo(json_text(found.coverage))
            return
        terminal = console()
        for line in command.unusable_lines(found.coverage):
            terminal.print(line)
        terminal.print(command.coverage_table(found.coverage))
        terminal.print(f"{out}: {', '.join(written)}")


@app.command()
def sql(
    question: Annotated[str, typer.Argument(help="A SELECT over the tables, such as 'select count(*) from images'.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Ask the home's tables a question in SQL (DuckDB)."""
    with plain_errors():
        from geo_pipeline.commands.printing import console, json_text
        from geo_pipeline.home.home import Home
        from geo_pipeline.home.views import query, values_of

        rows = query(Home(home), question)
        columns = values_of(rows)
        if as_json:
            typer.echo(json_text([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]))
            return
        from rich.table import Column, Table

        table = Table(*(Column(name, overflow="fold") for name in columns))
        for row in zip(*columns.values(), strict=True):
            table.add_row(*map(str, row))
        console().print(table)


@app.command()
def rehearse(
    home: RehearsalOption = Path("rehearsal"),
    photographs: Annotated[int, typer.Option("--photographs", min=64, help="References that are drawn.")] = 1072,
    queries: Annotated[int, typer.Option("--queries", min=1, help="Photographs of each of two benchmarks.")] = 64,
    shards: Annotated[int, typer.Option("--shards", min=1, help="Reference shards.")] = 1024,
) -> None:
    """Run the profile paper to its report, networks narrow and untrained, photographs drawn; tell time and memory."""
    with plain_errors(), StopsAtSignals():
        os.environ |= {"HF_HUB_CACHE": str(home.absolute() / "rehearsal" / "hub"), "HF_HUB_OFFLINE": "1"}
        from geo_pipeline.rehearsal.command import rehearse as rehearsed

        rehearsed(home, photographs, queries, shards)


@app.command("read-replies")
def read_replies(
    file: Annotated[Path, typer.Argument(help="Replies of a language model: a JSON object a line.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", help="The CSV that is written: id, lat_deg, lon_deg, reason.")],
    text_field: Annotated[
        str | None, typer.Option("--text-field", help="Field of the reply; without, the first known one that is there.")
    ] = None,
    id_field: Annotated[
        str | None,
        typer.Option("--id-field", help="Field of the id; without: id, image_file, image_id, index, or the line."),
    ] = None,
) -> None:
    """Read the coordinates that a language model's replies give, strictly; each line becomes a row."""
    with plain_errors():
        from geo_pipeline.commands.read_replies import read_replies as read
        from geo_pipeline.commands.read_replies import summary

        for line in summary(read(file, out, text_field, id_field), out):
            typer.echo(line)


@app.command("convert-weights")
def convert_weights(
    source: Annotated[Path, typer.Argument(help="Folder of a model with pytorch_model.bin.", metavar="FOLDER")],
    out: Annotated[Path, typer.Argument(help="The new folder, with model.safetensors.", metavar="OUT")],
) -> None:
    """Make safetensors of a model's pickled weights, for --oneformer; only plain tensors are read of the pickle."""
    with plain_errors():
        from geo_pipeline.commands.convert_weights import convert_weights as converted

        for line in converted(source, out):
            typer.echo(line)


def main() -> None:
    """Entry point of the console command: what a terminal has no character for is shown as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
