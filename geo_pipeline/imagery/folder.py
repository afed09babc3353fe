"""A folder of photographs as a source, with a metadata file beside it or with the position in each photograph's EXIF.

With metadata, its rows are the records: the path of a row is relative to the metadata's own folder (or to the image
folder), or the image is found by its id. Without, every image file of the folder is a record; its author is unknown.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from geo_pipeline.imagery.exif import coordinates_from_exif
from geo_pipeline.imagery.file_kind import first_bytes_kind
from geo_pipeline.imagery.metadata import MetadataRow, metadata_rows
from geo_pipeline.imagery.source import MissingImageError, SourceError, SourceRecord

IMAGE_SUFFIXES = frozenset(
    f".{ending}"
    for group in ("jpg jpeg jpe jfif", "png apng webp gif", "tif tiff bmp ppm pgm", "heic heif avif jp2 j2k")
    for ending in group.split()
)
"""Endings of files that are taken for photographs; other files of a folder are passed over."""


@dataclass(frozen=True)
class FolderSource:
    """Photographs below `images`; `metadata` is a CSV or Parquet file, or None to read positions from EXIF.

    A locator is the path relative to `images`, with forward slashes, so that tables survive a move of the folder.
    """

    images: Path
    metadata: Path | None = None

    def fingerprint(self) -> str:
        """Digest of the metadata's bytes and of every image file's name, size and time of change."""
        digest = hashlib.sha256()
        if self.metadata is not None:
            if not self.metadata.is_file():
                raise SourceError(f"Found no metadata file {self.metadata}; expected a CSV or Parquet file.")
            digest.update(hashlib.sha256(self.metadata.read_bytes()).digest())
        for locator in self._locators():
            status = (self.images / locator).stat()
            digest.update(f"{locator}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def records(self) -> Iterator[SourceRecord]:
        """A record per metadata row, in the file's order; without metadata, one per image file in order of path."""
        if not self.images.is_dir():
            raise SourceError(f"Found no folder {self.images}; expected a folder of photographs. Check the path.")
        if self.metadata is None:
            for locator in self._locators():
                yield self._exif_record(locator)
        else:
            yield from self._metadata_records(self.metadata)

    def read(self, locator: str) -> bytes:
        """The bytes of one photograph; `MissingImageError` when there is no such file below the folder."""
        path = _normal(self.images / locator)
        if not path.is_relative_to(_normal(self.images)):
            raise MissingImageError(f"{locator} leads out of {self.images}; only files below it are read.")
        try:
            return path.read_bytes()
        except OSError as error:
            raise MissingImageError(f"{locator}: {error.strerror or error}") from error

    def _locators(self) -> list[str]:
        """Image files below the folder, hidden ones left out, in order of path."""
        found = []
        for folder, subfolders, files in os.walk(self.images, followlinks=True):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            inside = Path(folder).relative_to(self.images)
            found += [
                (inside / name).as_posix()
                for name in files
                if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
            ]
        return sorted(found)

    def _exif_record(self, locator: str) -> SourceRecord:
        try:
            data = self.read(locator)
        except MissingImageError as error:
            return SourceRecord(locator, locator, problem="missing_file", detail=str(error))
        kind = first_bytes_kind(data)
        position = coordinates_from_exif(data)
        if position is not None:
            return SourceRecord(locator, locator, lat_deg=position[0], lon_deg=position[1], first_bytes_kind=kind)
        problem, detail = _without_position(kind)
        return SourceRecord(locator, locator, problem=problem, detail=detail, first_bytes_kind=kind)

    def _metadata_records(self, metadata: Path) -> Iterator[SourceRecord]:
        by_name: dict[str, list[str]] | None = None
        for row in metadata_rows(metadata):
            if row.path is not None:
                locator, problem, detail = self._locate_path(metadata, row.path)
            else:
                by_name = self._by_name() if by_name is None else by_name
                locator, problem, detail = _locate_id(by_name, row.image_id)
            yield _record(row, locator, problem, detail)

    def _locate_path(self, metadata: Path, written: str) -> tuple[str, str | None, str]:
        """Locator of a path as the metadata writes it; with the problem where there is no such file in the folder."""
        root = _normal(self.images)
        candidates = [_normal(metadata.parent / written), _normal(self.images / written)]
        inside = [path for path in candidates if path.is_relative_to(root)]
        for path in inside:
            if path.is_file():
                return path.relative_to(root).as_posix(), None, ""
        resolved = candidates[0].resolve()  # the same folder may be reached by two names
        if resolved.is_relative_to(root.resolve()) and resolved.is_file():
            return resolved.relative_to(root.resolve()).as_posix(), None, ""
        if candidates[0].is_file():
            return (
                written,
                "path_outside",
                f"The path {written} lies outside the image folder; only files below it are read.",
            )
        return written, "missing_file", f"Found no file {written}, from the metadata's folder or the image folder."

    def _by_name(self) -> dict[str, list[str]]:
        """Locators by file name and by file name without its ending."""
        names: dict[str, list[str]] = defaultdict(list)
        for locator in self._locators():
            path = PurePosixPath(locator)
            for name in {path.name, path.stem, locator, str(path.with_suffix(""))}:
                names[name].append(locator)
        return names


def _record(row: MetadataRow, locator: str, problem: str | None, detail: str) -> SourceRecord:
    if problem is None and (row.lat_deg is None or row.lon_deg is None):
        problem, detail = "no_coordinate", row.detail
    return SourceRecord(
        image_id=row.image_id or locator,
        locator=locator,
        author=row.author,
        lat_deg=row.lat_deg,
        lon_deg=row.lon_deg,
        set_name=row.set_name,
        credit=row.credit,
        problem=problem,
        detail=detail or row.detail,
    )


def _locate_id(by_name: dict[str, list[str]], image_id: str | None) -> tuple[str, str | None, str]:
    """Locator of the one file that is named like the id, with or without its ending."""
    if image_id is None:
        return "", "missing_file", "The row has neither an id nor a path."
    found = by_name.get(image_id, [])
    if len(found) == 1:
        return found[0], None, ""
    if found:
        return (
            image_id,
            "ambiguous_file",
            f"Several files are named {image_id}: {', '.join(found[:3])}. Give a path column.",
        )
    return image_id, "missing_file", f"Found no file named {image_id} (with any image ending) below the image folder."


def _without_position(kind: str) -> tuple[str, str]:
    """Why a file has no position in its EXIF."""
    if kind == "empty":
        return "zero_bytes", "The file is empty."
    if kind == "heif":
        return "heif_unsupported", "A HEIF file, and Pillow has no decoder for it. Convert it to JPEG."
    if kind == "unknown":
        return "unreadable", "The file does not begin as an image does."
    return "no_coordinate", "No readable GPS position in the EXIF tags, and no metadata file was given."


def _normal(path: Path) -> Path:
    """Absolute, without `..`, links kept as they are."""
    return Path(os.path.normpath(Path.cwd() / path))
