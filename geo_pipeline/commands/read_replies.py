"""`geo-pipeline read-replies`: raw replies of a language model, one JSON object a line, as a file of predictions.

One row per line, in their order, whatever the line holds; which text gives which coordinate is `lvlm.answers`.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo_pipeline.home.writing import write_whole
from geo_pipeline.lvlm.answers import DECLINED, parse_coordinate

TEXT_FIELDS = (
    "raw_response",
    "solution_str",
    "raw_answer",
    "response",
    "reply",
    "answer",
    "output",
    "completion",
    "prediction",
    "text",
    "content",
    "message",
    "choices",
)
"""Where a reply is looked for, in order of preference."""
ID_FIELDS = ("id", "image_file", "image_id", "index")
_INSIDE = ("content", "text", "message", "parts", "output_text", "response")
COLUMNS = ("id", "lat_deg", "lon_deg", "reason")


class RepliesError(ValueError):
    """A file of replies that cannot be read; the message says what was found, what was expected, what to do next."""


@dataclass(frozen=True)
class ReadReplies:
    """Rows of COLUMNS, one per line of the file, and the fields they were read from (None: the number of the line)."""

    rows: Sequence[tuple[str, float | None, float | None, str | None]]
    text_field: str
    id_field: str | None

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason stands."""
        return Counter(reason for *_, reason in self.rows if reason is not None)


def read_replies(file: Path, out: Path, text_field: str | None = None, id_field: str | None = None) -> ReadReplies:
    """Read the coordinate of every reply and write `out`, a CSV of COLUMNS; an empty coordinate has a reason.

    Fields are those named, or the first of TEXT_FIELDS and ID_FIELDS that a line has; without an id a line is known by
    its number, from 1. A line that is no JSON object (a blank one too), or has no such field, is a row with the reason
    `unreadable_line`. Raises RepliesError for a file without lines, and for a field that no line has.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").rstrip().split("\n")
    except OSError as error:
        why = error.strerror or error
        raise RepliesError(f"found {file} not to be readable ({why}); expected a file of JSON lines") from error
    records = {number: _record(line) for number, line in enumerate(lines, 1)}
    known = [record for record in records.values() if record is not None]
    if not any(line.strip() for line in lines):
        raise RepliesError(f"found no line in {file}; expected a JSON object in each; check the path")
    text = _field("--text-field", text_field, TEXT_FIELDS, known, file)
    if text is None:
        fields = ", ".join(dict.fromkeys(name for record in known for name in record)) or "no JSON object"
        raise RepliesError(f"found {fields} in {file}, expected a field with the reply; name it with --text-field")
    name = _field("--id-field", id_field, ID_FIELDS, known, file)
    rows = [_row(number, record, text, name) for number, record in records.items()]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, written.getvalue())
    return ReadReplies(rows, text, name)


def summary(found: ReadReplies, out: Path) -> list[str]:
    """Lines for a terminal: what was read, declined and unreadable, each reason with its count, and what is next."""
    count, reasons = len(found.rows), found.reasons
    groups: Mapping[str, Callable[[str], bool]] = {
        "declined": lambda reason: reason in DECLINED,
        "unreadable": lambda reason: reason not in DECLINED,
    }
    lines = [
        f"{count:,} replies, from the field {found.text_field}, known by "
        + (f"the field {found.id_field}" if found.id_field else "the number of their line"),
        f"{count - reasons.total():>7,} read",
    ]
    for name, belongs in groups.items():
        mine = {reason: number for reason, number in reasons.most_common() if belongs(reason)}
        words = ", ".join(f"{reason} {number:,}" for reason, number in mine.items())
        lines.append(f"{sum(mine.values()):>7,} {name}" + (f" ({words})" if words else ""))
    return [*lines, f"{out}: `geo-pipeline score {out} --truth FILE` scores it; a row without a coordinate is wrong"]


def _record(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _field(
    option: str, named: str | None, candidates: Sequence[str], records: Sequence[Mapping[str, Any]], file: Path
) -> str | None:
    if named is not None:
        if not any(named in record for record in records):
            fields = ", ".join(dict.fromkeys(name for record in records for name in record)) or "no JSON object"
            raise RepliesError(f"found {fields} in {file}, expected the field {named!r}; name another with {option}")
        return named
    return next((name for name in candidates if any(name in record for record in records)), None)


def _row(
    number: int, record: Mapping[str, Any] | None, text: str, name: str | None
) -> tuple[str, float | None, float | None, str | None]:
    given = None if record is None or name is None else record.get(name)
    image_id = str(number) if given is None or isinstance(given, dict | list) else str(given)
    if record is None or text not in record:
        return image_id, None, None, "unreadable_line"
    answer = parse_coordinate(_text_of(record[text]))
    return image_id, answer.lat_deg, answer.lon_deg, answer.failure


def _text_of(value: Any) -> str | None:
    """The text of a reply, also where it lies in a message, in choices or in parts."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        if value and all(isinstance(each, dict) and "message" in each for each in value):
            return _text_of(value[0])  # of several choices the first
        return "\n".join(text for text in map(_text_of, value) if text)
    if isinstance(value, dict):
        inside = next((value[name] for name in _INSIDE if isinstance(value.get(name), str | list | dict)), None)
        return json.dumps(value, ensure_ascii=False) if inside is None else _text_of(inside)
    return str(value)
