"""Lists and reads files behind an fsspec URL: object stores, web servers, and fsspec's own memory.

What a store says of a file (it is not there, it may not be read) is a `MissingImageError`; a store that does not answer
is a `StoreError` after some tries, since nothing follows from it for the photographs. Local folders belong to
`local`.
"""

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from geo_pipeline.imagery.ahead import Ahead
from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline.imagery.stores.errors import TRIES, WAIT_S, lasting, no_answer, tried
from geo_pipeline.imagery.stores.store import FoundFile, Span, StoreError, WholeFilesError

SPANS_AT_ONCE = 64
"""Most pieces that are asked for at the same time."""
BYTES_AT_ONCE = 64 << 20
"""Bytes that are asked for at the same time, about; two such portions are held."""
READ_AHEAD = 8 << 20
"""Bytes of one request while a container is read from its beginning to its end."""
DEEPEST = 32
"""Folders of a web server are followed this deep; one that links to itself must not hold us for ever."""
_IDENTITIES = (
    *("ETag", "etag", "version_id", "generation", "md5Hash", "checksum", "Content-MD5", "Digest"),
    *("LastModified", "Last-Modified", "mtime", "updated", "modified", "created"),
)
"""What stores call the mark that changes with a file's bytes, the surest first."""
_WHOLE_FILE = 1 << 20


@dataclass(frozen=True)
class RemoteStore:
    """The files below `url`, a folder of a store; opens no connection before it is asked something."""

    url: str

    def walk(self) -> Iterator[FoundFile]:
        """Every file that is not hidden.

        Raises `SourceError` when there is none or the package for this kind of URL is not installed, `StoreError` when
        the store does not answer.
        """
        fs, base = self._filesystem()
        prefix = base.rstrip("/") + "/"
        infos = tried(lambda: _listed(fs, base), self.url, SourceError)
        kept = {path: info for path, info in infos.items() if _is_plain(path, prefix)}
        if not kept:
            raise SourceError(f"found no file below {self.url}; expected photographs or containers. Check the address.")
        unsized = [path for path, info in kept.items() if info.get("size") is None]
        kept |= zip(unsized, self._infos(fs, unsized), strict=True)
        for path, info in kept.items():
            yield _found(self._name(path.removeprefix(prefix)), info)

    def stated(self, names: Sequence[str]) -> list[FoundFile]:
        """The named files; `SourceError` for one that is not there, `StoreError` when the store does not answer."""
        fs, _ = self._filesystem()
        infos = self._infos(fs, [self._path(name) for name in names])
        return [_found(name, info) for name, info in zip(names, infos, strict=True)]

    def open(self, name: str) -> BinaryIO:
        """The file, read ahead in large pieces; `MissingImageError` when it is not there or may not be read.

        `WholeFilesError` when the server gives no parts of files.
        """
        fs, _ = self._filesystem()
        path = self._path(name)
        options = {"block_size": READ_AHEAD, "cache_type": "readahead"}
        file = tried(lambda: fs.open(path, "rb", **options), name, MissingImageError)
        if not file.seekable():
            file.close()
            raise WholeFilesError(_only_whole(self.url))
        return io.BufferedReader(_StoreFile(file, name), buffer_size=1 << 20)

    def read_spans(self, spans: Iterable[Span]) -> Iterator[bytes | MissingImageError]:
        """The bytes of each span; the next portion is on its way while one is given out."""
        for portion in Ahead(1).made(self._fetch, _portions(spans)):
            yield from portion

    def _fetch(self, spans: Sequence[Span]) -> list[bytes | MissingImageError]:
        """The bytes of each span, all asked for at once; what fails for a passing reason is asked for again."""
        fs, _ = self._filesystem()
        data: list[bytes | MissingImageError] = [b""] * len(spans)
        waiting = [number for number, span in enumerate(spans) if span.end is None or span.end > span.start]
        for trial in range(TRIES):
            asked = [spans[number] for number in waiting]
            paths = [self._path(span.name) for span in asked]
            starts = [span.start if span.start or span.end is not None else None for span in asked]
            answers = fs.cat_ranges(paths, starts, [span.end for span in asked], on_error="return") if asked else []
            failed = []
            for number, answer in zip(waiting, answers, strict=True):
                if isinstance(answer, BaseException):
                    words = lasting(answer)
                    if words is None:
                        failed.append((number, answer))
                    else:
                        data[number] = MissingImageError(f"{spans[number].name}: {words}")
                else:
                    data[number] = self._checked(answer, spans[number])
            waiting = [number for number, _ in failed]
            if not failed:
                return data
            if trial + 1 < TRIES:
                time.sleep(WAIT_S * 2**trial)
        raise StoreError(no_answer(spans[failed[0][0]].name, failed[0][1])) from failed[0][1]

    def _checked(self, data: bytes, span: Span) -> bytes:
        if span.end is not None and len(data) > span.end - span.start:
            raise WholeFilesError(_only_whole(self.url))
        return data

    def _infos(self, fs: Any, paths: Sequence[str]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda path: tried(lambda: fs.info(path), path, SourceError), paths))

    def _filesystem(self) -> tuple[Any, str]:
        return filesystem_of(self.url)

    def _path(self, name: str) -> str:
        base = self._filesystem()[1].rstrip("/")
        return f"{base}/{quote(name) if self._is_web else name}"

    def _name(self, path: str) -> str:
        return unquote(path) if self._is_web else path

    @property
    def _is_web(self) -> bool:
        return self.url.startswith(("http://", "https://"))


class _StoreFile(io.RawIOBase):
    """A file of fsspec with our errors: a failed read is tried again from the same place."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._named, self._at = file, name, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = before + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = tried(lambda: self._read(len(buffer)), self._named, StoreError)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _read(self, length: int) -> bytes:
        if self._at >= self._file.size:
            return b""
        self._file.seek(self._at)
        return bytes(self._file.read(length))


def filesystem_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path in it; `SourceError` when it cannot be used."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise SourceError(
            f"found that {url} cannot be read ({error}). Run: pip install 'geolocalization-pipeline[cloud]'"
        ) from error
    except ValueError as error:
        raise SourceError(
            f"found that {url} cannot be read ({error}). Expected a path, s3://, gs://, https:// or memory://."
        ) from error


def is_remote_file(url: str) -> bool:
    """True when the URL names a file and no folder."""
    fs, path = filesystem_of(url)
    try:
        return bool(tried(lambda: fs.info(path), url, MissingImageError)["type"] == "file") and not (
            url.startswith(("http://", "https://")) and _is_page(fs, path)
        )
    except MissingImageError:
        return False


def _is_page(fs: Any, path: str) -> bool:
    """True for a web server's page that lists a folder: every address is a file to fsspec."""
    return bool(fs.info(path).get("mimetype") == "text/html")


def _listed(fs: Any, base: str) -> dict[str, dict[str, Any]]:
    """Path and facts of every file below a folder."""
    fs.invalidate_cache()
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    if "http" not in protocols:
        return dict(fs.find(base, detail=True))
    found: dict[str, dict[str, Any]] = {}
    waiting = [(base.rstrip("/") + "/", DEEPEST)]
    while waiting:
        folder, deeper = waiting.pop()
        for info in fs.ls(folder, detail=True):
            if info["type"] != "directory":
                found[info["name"]] = info
            elif deeper and info["name"].startswith(folder) and info["name"] != folder:
                waiting.append((info["name"], deeper - 1))
    return found


def _is_plain(path: str, prefix: str) -> bool:
    """True for a file below the prefix that is neither hidden nor the mark of an empty folder."""
    name = path.removeprefix(prefix)
    hidden = name.startswith(".") or "/." in name
    return path.startswith(prefix) and bool(name) and not hidden and not name.endswith("/") and "?" not in name


def _found(name: str, info: dict[str, Any]) -> FoundFile:
    size = info.get("size")
    mark = next((str(info[key]) for key in _IDENTITIES if info.get(key)), "")
    return FoundFile(name, -1 if size is None else int(size), f"{size}-{mark.strip(chr(34))}")


def _portions(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Spans in portions of limited number and size."""
    portion: list[Span] = []
    held = 0
    for span in spans:
        size = _WHOLE_FILE if span.end is None else span.end - span.start
        if portion and (len(portion) == SPANS_AT_ONCE or held + size > BYTES_AT_ONCE):
            yield portion
            portion, held = [], 0
        portion.append(span)
        held += size
    if portion:
        yield portion


def _only_whole(url: str) -> str:
    return (
        f"{url}: the server gives only whole files, no parts of them. Copy the containers to this machine or a store."
    )
