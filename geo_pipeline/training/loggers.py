"""The loggers that every training has: the function that it reports to, event files, and the page of its curves."""

from collections.abc import Sequence
from pathlib import Path

from geo_pipeline.training.curve_page import Captions, CurvePage
from geo_pipeline.training.event_log import EventLog
from geo_pipeline.training.folder import CURVES_PAGE, LOGS
from geo_pipeline.training.logger import EpochReport, Logger
from geo_pipeline.training.outcome import Report


def usual_loggers(out_dir: Path, report: Report, captions: Captions, rank: int = 0) -> Sequence[Logger]:
    """`report` hears of every epoch on each worker; files are written by rank 0."""
    files = (EventLog(out_dir / LOGS), CurvePage(out_dir / CURVES_PAGE, captions)) if rank == 0 else ()
    return (EpochReport(report), *files)
