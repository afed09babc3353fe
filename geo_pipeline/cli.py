"""The `geo-pipeline` command.

Each command imports what it needs when it runs, so that help and mistakes are answered at once.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="geo-pipeline",
    help="From photographs to coordinates to a benchmark report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
sample_app = typer.Typer(help="The embedded sample world: its networks and its fairness.", no_args_is_help=True)
app.add_typer(sample_app, name="sample")

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", envvar="GEO_PIPELINE_HOME", help="Folder of tables, checkpoints, reports and Dagster's record."
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", envvar="GEO_PIPELINE_SEED", help="Seed of the planet and of training.")
]
ProfileOption = Annotated[
    str, typer.Option("--profile", envvar="GEO_PIPELINE_PROFILE", help="sample, photos or paper.")
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", envvar="GEO_PIPELINE_IMAGES", help="Folder of photographs (profiles photos and paper)."),
]
MetadataOption = Annotated[
    Path | None,
    typer.Option("--metadata", envvar="GEO_PIPELINE_METADATA", help="CSV or Parquet with coordinates; EXIF without."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_HOME = Path("workspace")


@app.command()
def run(
    profile: ProfileOption = "sample",
    images: ImagesOption = None,
    metadata: MetadataOption = None,
    home: HomeOption = DEFAULT_HOME,
    seed: SeedOption = 0,
    select: Annotated[
        str | None,
        typer.Option("--select", help="A Dagster asset selection, such as 'geocells' or '+benchmark_scores'."),
    ] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Without Ray, in this process.")] = False,
) -> None:
    """Bring every asset of the lineage up to date: photographs in, benchmark report out."""
    with _plain_errors():
        from geo_pipeline.orchestration.run_command import run_lineage
        from geo_pipeline.profiles.named import named_profile, remember

        chosen = named_profile(profile, seed, images, metadata)
        chosen.check_start()
        remember(home, profile, seed, images, metadata)
        run_lineage(chosen, home, select, in_process)


@app.command()
def locate(
    images: Annotated[list[Path], typer.Argument(help="Photographs to locate.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say where photographs were taken: both paradigms, the router's choice, and the nearest references.

    The home knows the profile it was run with.
    """
    with _plain_errors():
        from geo_pipeline.orchestration.locate import locate_images, location_text
        from geo_pipeline.orchestration.storage import Home
        from geo_pipeline.profiles.named import remembered_profile

        found = locate_images(remembered_profile(home), Home(home), images)
        typer.echo(
            json.dumps(found, indent=1, ensure_ascii=False)
            if as_json
            else "\n\n".join(location_text(each) for each in found)
        )


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="CSV of predictions.")],
    truth: Annotated[Path, typer.Option("--truth", help="CSV of the true coordinates.")],
    distance: Annotated[str, typer.Option("--distance", help="great_circle or wgs84.")] = "great_circle",
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Columns of the predictions, where not understood: id=..,lat=..,lon=.."),
    ] = None,
    truth_columns: Annotated[
        str | None,
        typer.Option("--truth-columns", help="Columns of the truth, where not understood: id=..,lat=..,lon=.."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a predictions file against the truth: accuracy within 1, 25, 200, 750 and 2500 km."""
    with _plain_errors():
        from geo_pipeline.orchestration.score_command import score_text, scored

        found = scored(predictions, truth, distance, columns, truth_columns)
        typer.echo(json.dumps(found.to_json(), indent=1) if as_json else score_text(found))


@app.command()
def sql(
    question: Annotated[str, typer.Argument(help="A SELECT over the tables, such as 'select count(*) from images'.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Ask the home's tables a question in SQL (DuckDB)."""
    with _plain_errors():
        from geo_pipeline.orchestration.storage import Home
        from geo_pipeline.orchestration.views import query

        rows = query(Home(home), question)
        if as_json:
            typer.echo(json.dumps(rows.to_pylist(), default=str, indent=1))
            return
        from rich.console import Console
        from rich.table import Table

        shown = Table(*rows.column_names)
        for row in rows.to_pylist():
            shown.add_row(*(str(value) for value in row.values()))
        Console().print(shown)


@sample_app.command()
def pretrain(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="oneformer, clip or qwen2vl; all without it.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Wall-clock minutes per network; 20 to 60 without it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the weights; the package's own without it.")
    ] = None,
) -> None:
    """Make the sample's small networks again, on planets of other seeds."""
    with _plain_errors():
        from geo_pipeline.pretraining.command import main
        from geo_pipeline.sample_world.weights import WEIGHTS

        main(only=list(only or ()), minutes=minutes, out=out or WEIGHTS)


@sample_app.command()
def measure(
    seeds: Annotated[str, typer.Option("--seeds", help="Unseen seeds, separated by commas.")] = "1,2,3,4,5",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Measure on planets of several seeds whether the sample is fair and routing pays."""
    with _plain_errors():
        from geo_pipeline.orchestration.fairness import measure as measure_seeds

        if not all(part.strip().lstrip("-").isdigit() for part in seeds.split(",")):
            raise ValueError(f"found --seeds {seeds!r}, expected whole numbers separated by commas, such as 1,2,3")
        measure_seeds([int(part) for part in seeds.split(",")], home)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """What a user can cause becomes one clear message and exit code 1; a fault of ours keeps its traceback.

    GEO_PIPELINE_TRACEBACK=1 shows where a message came from.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        typer.echo("\nstopped; run again to go on, finished shards are kept", err=True)
        raise typer.Exit(130) from None
    except (ValueError, RuntimeError, OSError) as error:
        if os.environ.get("GEO_PIPELINE_TRACEBACK"):
            raise
        typer.echo(f"geo-pipeline: {error or type(error).__name__}", err=True)
        raise typer.Exit(1) from error


def main() -> None:
    """Entry point of the console command."""
    app()


if __name__ == "__main__":
    main()
