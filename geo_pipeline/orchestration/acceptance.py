"""Code that somebody accepted as equal, where Dagster can only make an asset of another code version again.

`geo-pipeline accept` says that an edit changes no byte, and why. Kept in the home as `accepted.json`, one record for
each pair of code versions of an asset. No Dagster here.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from geo_pipeline.home.home import Home

ACCEPTED = "accepted.json"


@dataclass(frozen=True)
class Record:
    """One acceptance: outputs of `asset` made by code `made_by` count as made by `counts_as`.

    `made_by` is a code version, or the whole fingerprint of an output of a home that kept no code versions; `inputs` is
    then the digest of what it was made from. `why` are the words of who accepted, `when` is UTC.
    """

    asset: str
    made_by: str
    counts_as: str
    why: str
    when: str
    inputs: str | None = None


class Accepted:
    """The records of a home."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(records)
        self._by_code: dict[tuple[str, str, str], list[Record]] = {}
        for each in self.records:
            self._by_code.setdefault((each.asset, each.counts_as, each.made_by), []).append(each)

    def record(self, asset: str, version: str, fingerprint: str, inputs: str | None) -> Record | None:
        """The record by which an output with this fingerprint, made from `inputs`, counts as made by `version`.

        None without one. `inputs` is the digest of what the output's inputs hold today.
        """
        found = self._by_code.get((asset, version, made_by(fingerprint)), [])
        return next((each for each in found if inputs == (each.inputs or fingerprint.partition(":")[2])), None)


def made_by(fingerprint: str) -> str:
    """The part of a fingerprint that says by which code something was made."""
    return fingerprint.partition(":")[0]


def accepted_of(home: Home) -> Accepted:
    """What was accepted in a home. Raises ValueError for a file that is damaged."""
    file = home.root / ACCEPTED
    if not file.is_file():
        return Accepted(())
    try:
        return Accepted(Record(**each) for each in json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"found that {file} is damaged ({error}), expected the list of accepted code versions; delete it, and "
            "accept again what you know to be equal"
        ) from error


def keep(home: Home, records: Iterable[Record]) -> None:
    """Add records to those of a home."""
    known = dict.fromkeys([*accepted_of(home).records, *records])
    home.root.mkdir(parents=True, exist_ok=True)
    beside = home.root / f".{ACCEPTED}.{os.getpid()}.part"
    beside.write_text(json.dumps([asdict(each) for each in known], indent=1, ensure_ascii=False))
    beside.replace(home.root / ACCEPTED)
