"""Walks and reads a folder of this machine; nothing outside it is read unless links are followed on purpose.

Which of its files are photographs, and what their names mean, belongs to the sources.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from geo_pipeline.imagery.source import MissingImageError, SourceError
from geo_pipeline.imagery.stores.store import FoundFile, Span


@dataclass(frozen=True)
class LocalStore:
    """The folder `base`. Links inside it are followed; those that lead out of it only with `follow_links`."""

    base: str
    follow_links: bool = False

    def walk(self) -> Iterator[FoundFile]:
        """Every file below the folder; hidden files and folders are passed over.

        Raises `SourceError` for a folder that is not there or may not be listed. A file name that is not UTF-8 comes
        with the replacement character in the place of its odd bytes, and a problem; a link to a folder outside comes
        as one file whose name ends in a slash.
        """
        if not Path(self.base).is_dir():
            raise SourceError(f"found no folder {self.base}; expected a folder of photographs. Check the path.")
        base = Path(self.base).stat()
        waiting = [("", self.base, frozenset({(base.st_dev, base.st_ino)}))]
        while waiting:
            prefix, folder, above = waiting.pop()
            for entry in self._entries(folder):
                if entry.name.startswith(".") or (not prefix and entry.name == "lost+found"):
                    continue
                name = prefix + entry.name
                if _is_folder(entry):
                    status = entry.stat()
                    itself = (status.st_dev, status.st_ino)
                    if entry.is_symlink() and self._leads_out(entry.path):
                        yield FoundFile(f"{name}/", 0, "", "path_outside")
                    elif itself not in above:
                        waiting.append((f"{name}/", entry.path, above | {itself}))
                else:
                    yield self._found(name, entry)

    def stated(self, names: Sequence[str]) -> list[FoundFile]:
        """The named files; `SourceError` for one that is not there."""
        found = []
        for name in names:
            try:
                status = (Path(self.base) / name).stat()
            except OSError as error:
                raise SourceError(f"found no file {name} in {self.base} ({error.strerror}). Check the path.") from error
            found.append(FoundFile(name, status.st_size, _identity(status)))
        return found

    def open(self, name: str) -> BinaryIO:
        """The file, buffered; `MissingImageError` when there is no such file below the folder."""
        return os.fdopen(self._descriptor(name, {}), "rb", buffering=1 << 20)

    def read_spans(self, spans: Iterable[Span]) -> Iterator[bytes | MissingImageError]:
        """The bytes of each span; a file stays open over the spans that follow one another in it."""
        name, descriptor = None, -1
        folders: dict[str, bool] = {}
        try:
            for span in spans:
                try:
                    if span.name != name:
                        if descriptor >= 0:
                            os.close(descriptor)
                            descriptor, name = -1, None
                        descriptor, name = self._descriptor(span.name, folders), span.name
                    yield _read(descriptor, span)
                except MissingImageError as error:
                    yield error
                except OSError as error:
                    yield MissingImageError(f"{span.name}: {error.strerror or error}")
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            raise SourceError(
                f"found the folder {folder}, which cannot be listed ({error.strerror}). Give the right to read it, or "
                "take it out of the photographs' folder."
            ) from error

    def _found(self, name: str, entry: os.DirEntry[str]) -> FoundFile:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        try:
            status = entry.stat()
        except OSError:
            return FoundFile(shown, 0, "", "missing_file")
        problem = None
        if not stat.S_ISREG(status.st_mode):
            problem = "not_a_file"
        elif shown != name:
            problem = "unreadable_name"
        elif entry.is_symlink() and self._leads_out(entry.path):
            problem = "path_outside"
        return FoundFile(shown, status.st_size, _identity(status), problem)

    def _descriptor(self, name: str, folders: dict[str, bool]) -> int:
        """An open descriptor of a plain file below the folder; `folders` remembers which ones lead out of it."""
        folder, _, _ = name.rpartition("/")
        path = f"{self.base}/{name}"
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not make us wait
        try:
            if not self.follow_links:
                if folder not in folders:
                    folders[folder] = self._leads_out(f"{self.base}/{folder}")
                outside = folders[folder] or (os.path.islink(path) and self._leads_out(path))  # noqa: PTH114  # per photograph
                if outside:
                    raise MissingImageError(f"{name} leads out of {self.base}; only files below it are read.")
            descriptor = os.open(path, flags)
        except OSError as error:
            if isinstance(error, MissingImageError):
                raise
            raise MissingImageError(f"{name}: {error.strerror or error}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise MissingImageError(f"{name}: found no plain file (a folder, a pipe or a device).")
        return descriptor

    def _leads_out(self, path: str) -> bool:
        if self.follow_links:
            return False
        root = os.path.realpath(self.base)
        real = os.path.realpath(path)
        return real != root and not real.startswith(root.rstrip("/") + "/")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _identity(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _read(descriptor: int, span: Span) -> bytes:
    """The bytes of a span, never more than the file has."""
    size = os.fstat(descriptor).st_size
    end = size if span.end is None else min(span.end, size)
    pieces, position = [], span.start
    while position < end:
        piece = os.pread(descriptor, end - position, position)
        if not piece:
            break
        pieces.append(piece)
        position += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
