"""What a user can cause, as one clear message and an exit code.

How a run ends at a signal belongs to `stopping`.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from geo_pipeline.commands.stopping import StoppedError


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """What a user can cause becomes one clear message and exit code 1; a fault of ours keeps its traceback.

    GEO_PIPELINE_TRACEBACK=1 shows where a message came from.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except StoppedError as error:
        typer.echo(f"\n{error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("\nstopped", err=True)
        raise typer.Exit(130) from None
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing == "geo_pipeline" or os.environ.get("GEO_PIPELINE_TRACEBACK"):
            raise
        typer.echo(
            f"geo-pipeline: found no {missing}, expected it for this command, as not for `score` and `partition`; "
            "run: pip install 'geolocalization-pipeline[run]'",
            err=True,
        )
        raise typer.Exit(1) from error
    except _errors_of_users() as error:
        if os.environ.get("GEO_PIPELINE_TRACEBACK"):
            raise
        from geo_pipeline.commands.printing import shown

        typer.echo(f"geo-pipeline: {shown(_words_of(error))}", err=True)
        raise typer.Exit(1) from error


def _words_of(error: Exception) -> str:
    """What a message says; of a database's error the first line, without its statement."""
    words = str(error) or type(error).__name__
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return f"found {error.object!r}, a name that is not UTF-8; expected files and folders that are; rename it"
    if isinstance(error, (ValueError, RuntimeError, OSError)):
        return words
    return (
        f"found a database that cannot be read or written: {words.partition(chr(10))[0]}; look whether the disk has "
        "space and the home may be written to, then run again"
    )


def _errors_of_users() -> tuple[type[Exception], ...]:
    """What a user can cause; of the databases (a full disk, a damaged file) what those raise that were imported."""
    names = (("sqlite3", "Error"), ("sqlalchemy.exc", "SQLAlchemyError"), ("duckdb", "Error"))
    databases = (getattr(sys.modules[module], name) for module, name in names if module in sys.modules)
    return (ValueError, RuntimeError, OSError, *databases)
