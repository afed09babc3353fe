"""Opens a collection of photographs as a source: finds which kind it is, from its files' names unless given.

The sources themselves are `folder` and `containers.source` with the readers; nothing of them is decided here.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from geo_pipeline.imagery.containers.entries import Reader
from geo_pipeline.imagery.metadata.read import MetadataFormat
from geo_pipeline.imagery.source import MissingImageError, Source, SourceError
from geo_pipeline.imagery.stores.files import IMAGE_SUFFIXES, Files, absolute

Kind = Literal["folder", "exif", "tar", "webdataset", "msgpack", "parquet"]
"""Loose files with a metadata file; loose files with positions in their EXIF; and the four kinds of containers."""
_ENDINGS: dict[str, tuple[str, ...]] = {
    "photographs": IMAGE_SUFFIXES,
    "tar": (".tar",),
    "msgpack": (".msg", ".msgpack", ".mp"),
    "parquet": (".parquet", ".pq"),
    "compressed": (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".7z", ".rar"),
}
_LOOKED_AT = 10_000
"""Names that are looked at to tell the kind."""


def open_source(
    images: str,
    metadata: str | None = None,
    kind: Kind | None = None,
    index: Path | None = None,
    follow_links: bool = False,
    metadata_format: MetadataFormat | None = None,
) -> Source:
    """The source at `images` (a folder, one file or a pattern; a local path or an fsspec URL).

    `metadata` is CSV, Parquet or JSON, local or a URL; without it the position comes from what stands beside or in
    each photograph. `index` is a local folder in which the entries of containers, and what the EXIF of loose
    photographs says, are kept between runs. `follow_links` allows links that lead out of a folder of loose photographs;
    `metadata_format` is a published layout of the metadata (None: tell it from the file). Raises `SourceError` when
    nothing is there, when the kind cannot be told, and when kind and metadata contradict each other.
    """
    if kind is not None and kind not in get_args(Kind):
        raise SourceError(f"found the kind {kind!r}; expected one of {', '.join(get_args(Kind))}.")
    if kind == "folder" and metadata is None:
        raise SourceError("found the kind folder without a metadata file; give one, or the kind exif.")
    if kind == "exif" and metadata is not None:
        raise SourceError(
            f"found the kind exif with the metadata file {metadata}; give the kind folder, or no metadata."
        )
    kind = _detected(images, metadata) if kind is None else kind
    if kind in ("folder", "exif"):
        from geo_pipeline.imagery.folder import FolderSource

        return FolderSource(images, metadata, follow_links, metadata_format, index)
    from geo_pipeline.imagery.containers.source import ContainerSource

    return ContainerSource(images, _reader(kind, exif=metadata is None), kind, metadata, index, metadata_format)


def _reader(kind: Kind, exif: bool) -> Reader:
    if kind == "msgpack":
        from geo_pipeline.imagery.containers.msgpack_files import MsgpackReader

        return MsgpackReader()
    if kind == "parquet":
        from geo_pipeline.imagery.containers.parquet_files import ParquetReader

        return ParquetReader()
    from geo_pipeline.imagery.containers.tar_files import TarReader

    return TarReader(sidecars=kind == "webdataset", exif=exif)


def _detected(images: str, metadata: str | None) -> Kind:
    """The kind that the names of the first files tell."""
    files = Files(images, follow_links=True)
    beside = None if metadata is None else absolute(metadata)
    names = [
        file.name
        for file in islice(files.walk(), _LOOKED_AT)
        if beside is None or absolute(files.full_name(file.name)) != beside
    ]
    counts = Counter(_class_of(name) for name in names)
    kinds = [name for name in ("photographs", "tar", "msgpack", "parquet") if counts[name]]
    if counts["compressed"] and "photographs" not in kinds:
        raise SourceError(
            f"found {_listed(names)} in {images}; photographs in compressed archives cannot be read each from its "
            "place. Unpack them once: .tar.gz to .tar (gunzip), .zip to a folder."
        )
    if len(kinds) > 1:
        raise SourceError(
            f"found {_listed(names)} in {images}, so its kind cannot be told. Expected photographs, or containers of "
            f"one kind. Say which is meant ({', '.join(get_args(Kind))}), or name the files (images/*.tar); a table of "
            "metadata is given as the metadata file."
        )
    if not kinds and not counts["bare"]:
        raise SourceError(
            f"found {_listed(names)} in {images}; expected photographs ({', '.join(IMAGE_SUFFIXES[:6])} ...) or "
            "containers (.tar, .msgpack, .parquet). Check the path."
        )
    if kinds in (["msgpack"], ["parquet"]):
        return "msgpack" if kinds == ["msgpack"] else "parquet"
    if kinds == ["tar"]:
        first = min(name for name in names if _class_of(name) == "tar")
        return "webdataset" if _has_sidecars(files, first) else "tar"
    return "exif" if metadata is None else "folder"


def _has_sidecars(files: Files, name: str) -> bool:
    from geo_pipeline.imagery.containers.webdataset_samples import has_sidecars

    try:
        with files.open(name) as file:
            return has_sidecars(file)
    except MissingImageError as error:
        raise SourceError(f"Cannot open {name} in {files.root}: {error}") from error


def _class_of(name: str) -> str:
    lower = name.lower()
    for known in ("compressed", "photographs", "tar", "msgpack", "parquet"):
        if lower.endswith(_ENDINGS[known]):
            return known
    return "other" if "." in lower.rpartition("/")[2] else "bare"


def _listed(names: list[str]) -> str:
    """What was found, in words: the counts of each ending."""
    endings: Mapping[str, int] = Counter(_ending(name) for name in names)
    if not names:
        return "nothing"
    most = sorted(endings.items(), key=lambda item: (-item[1], item[0]))[:6]
    more = "at least " if len(names) >= _LOOKED_AT - 1 else ""
    return more + ", ".join(f"{count} {ending}" for ending, count in most)


def _ending(name: str) -> str:
    last = name.lower().rpartition("/")[2]
    known = next((ending for ending in _ENDINGS["compressed"] if last.endswith(ending)), None)
    return known or (f".{last.rpartition('.')[2]}" if "." in last else "without an ending")
