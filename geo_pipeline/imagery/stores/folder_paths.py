"""What a path in a metadata file means for a folder of photographs that lies beside, above or below that file.

Paths are relative to the metadata's own folder, or to the folder of photographs. Nothing outside the latter is ever
read. Matching rows with files belongs to `join`.
"""

import os
import posixpath
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geo_pipeline.imagery.stores.files import absolute, is_url
from geo_pipeline.imagery.stores.store import PROBLEMS

_ODD = r"^/|(^|/)\.\.?(/|$)|//|\\|^[A-Za-z]:|^\w+://"
"""Paths that are not simply a name below a folder."""


class PathRule:
    """How the metadata file at `metadata` names the files of the folder `images`; local paths or URLs."""

    def __init__(self, images: str, metadata: str) -> None:
        self._local = not is_url(images) and not is_url(metadata)
        self._root = absolute(images)
        self._beside = posixpath.dirname(absolute(metadata))
        if self._local and not _related(self._root, self._beside):  # the same folder may be reached by two names
            real = os.path.realpath(self._root), os.path.realpath(self._beside)
            if _related(*real):
                self._root, self._beside = real

    def as_written(self, names: pa.ChunkedArray) -> pa.ChunkedArray:
        """Each file's path as the metadata file would write it, relative to its own folder; null where it cannot."""
        if _below(self._root, self._beside):
            prefix = posixpath.relpath(self._root, self._beside)
            return names if prefix == "." else pc.binary_join_element_wise(f"{prefix}/", names, "")
        if _below(self._beside, self._root):
            prefix = posixpath.relpath(self._beside, self._root) + "/"
            cut = pc.utf8_slice_codeunits(names, len(prefix))
            return pc.if_else(pc.starts_with(names, prefix), cut, pa.scalar(None, pa.string()))
        return pa.chunked_array([pa.nulls(len(names), pa.string())])

    def below_root(self, paths: pa.ChunkedArray) -> pa.ChunkedArray:
        """The paths, those with `..` and the like made relative to the root where they lead into it."""
        odd = pc.fill_null(pc.match_substring_regex(paths, _ODD), False)
        rows = np.flatnonzero(odd.to_numpy(zero_copy_only=False))
        if not len(rows):
            return paths
        straight = pa.array([self._straight(paths[row].as_py()) for row in rows.tolist()], pa.string())
        changed = pc.replace_with_mask(paths.combine_chunks(), odd.combine_chunks(), straight)
        return pa.chunked_array([changed])

    def reason(self, path: str) -> tuple[str, str] | None:
        """Problem and detail of a path that leads to a file which is not read; None when there is no such file."""
        if not self._local:
            return None
        for folder in (self._beside, self._root):
            full = _joined(folder, path)
            if Path(full).is_file():
                if _below(os.path.realpath(full), os.path.realpath(self._root)):
                    return "not_a_file", f"The file {path} does not end as photographs do, or is hidden. Rename it."
                if _below(full, self._root):
                    return "path_outside", PROBLEMS["path_outside"]
                words = f"The path {path} lies outside the image folder; only files below it are read."
                return "path_outside", words
        return None

    def _straight(self, path: str) -> str:
        candidates = [_joined(self._beside, path), _joined(self._root, path)]
        inside = [full for full in candidates if _below(full, self._root) and full != self._root]
        if self._local:
            inside = [full for full in inside if Path(full).is_file()] or inside
        if inside:
            return posixpath.relpath(inside[0], self._root)
        if self._local:
            root, full = os.path.realpath(self._root), os.path.realpath(candidates[0])
            if _below(full, root) and full != root:
                return posixpath.relpath(full, root)
        return path


def _joined(folder: str, path: str) -> str:
    if is_url(path):
        return absolute(path)
    return posixpath.normpath(posixpath.join(folder, path.replace("\\", "/")))


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _related(first: str, second: str) -> bool:
    return _below(first, second) or _below(second, first)
