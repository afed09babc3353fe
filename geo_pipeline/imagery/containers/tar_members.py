"""Walks the members of a tar file without ever extracting one: names, places, and what is broken or no plain file.

Python's tarfile reads each header; the walk is our own, so that memory stays constant, no size that a header claims is
believed before the bytes are there, and damage costs only what it hit. What members mean belongs to `tar_files`.
"""

import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

BLOCK = tarfile.BLOCKSIZE
LONGEST_NAME = 4096
LARGEST_EXTENSION = 1 << 20
"""A header of long names or attributes that claims more bytes than this is damage or an attack."""
LONGEST_SPARSE_MAP = 64
"""Blocks of a sparse member's map that are passed over; a longer one counts as damage."""
_FIRST_CHUNK, _CHUNK = 4096, 1 << 20
"""Bytes looked through at once; small first, so that many small damages cost no more than one large one."""
_MAGIC, _MAGIC_AT = b"ustar", 257
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_ATTRIBUTES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_SPECIAL = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


class Member(NamedTuple):
    """One member: its bytes are at `offset`, `length` long. With a problem they are not to be used, `detail` says why.

    Problems: `not_a_file` (links, devices, pipes), `path_outside`, `sparse_file`, `truncated`, `bad_header`.
    """

    name: str
    offset: int
    length: int
    problem: str | None = None
    detail: str = ""


def members(file: BinaryIO) -> Iterator[Member]:
    """Every member but folders, in order; after damage the walk goes on at the next header that can be told.

    Archives that follow one another in one file are all walked. A file that ends without tar's end mark gives a last
    member with the problem `truncated`.
    """
    size = file.seek(0, 2)
    at, ended, extension = 0, False, _Extension()
    while at < size:
        file.seek(at)
        block = file.read(BLOCK)
        if not any(block):
            at, ended = _after_zeros(file, at, size), True
            continue
        header = _header(block)
        if header is None or (extends := extension.take(file, header, at, size)) is None:
            following = _next_header(file, at + BLOCK, size)
            if not (ended and following == size):  # what follows the end mark may be anything
                yield _damage(at, following, size, "cut" if len(block) < BLOCK else "bad")
            at, ended, extension = following, following == size, _Extension()
            continue
        if extends:
            at, ended = at + BLOCK + _padded(header.size), False
            continue
        offset = _after_sparse_map(file, at, block) if header.type == tarfile.GNUTYPE_SPARSE else at + BLOCK
        member, following = _member(header, extension, offset, size)
        if member is not None:
            yield member
        ended = False
        if member is not None and member.problem == "truncated":
            following = _next_header(file, at + BLOCK, size)
            ended = following == size
        at, extension = following, _Extension()
    if size and not ended:
        words = "The archive ends without its end mark: it was cut, and what followed is lost. Fetch it again."
        yield Member("", size, 0, "truncated", words)


def is_hidden(name: str) -> bool:
    """True for a name of which a part begins with a dot."""
    return name.startswith(".") or "/." in name


class _Extension:
    """What headers before a member's own say of it: a long name, a size, that it is sparse."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.size: int | None = None
        self.sparse = False

    def take(self, file: BinaryIO, header: tarfile.TarInfo, at: int, size: int) -> bool | None:
        """True when the header was such a one and is understood, False for a member's own, None for a damaged one."""
        if header.type == tarfile.XGLTYPE:
            return True if at + BLOCK + header.size <= size else None
        if header.type not in (_LONG_NAME, _LONG_LINK, *_ATTRIBUTES):
            return False
        if header.size > LARGEST_EXTENSION or at + BLOCK + header.size > size:
            return None
        data = file.read(header.size)
        if header.type == _LONG_NAME:
            self.name = _text(data.split(b"\0", 1)[0])
        elif header.type in _ATTRIBUTES:
            return self._attributes(data)
        return True

    def _attributes(self, data: bytes) -> bool | None:
        """Reads lines of the form `length key=value`."""
        at, end = 0, len(data.rstrip(b"\0"))
        while at < end:
            digits, _, _ = data[at : at + 20].partition(b" ")
            after = at + int(digits) if digits.isdigit() else 0
            if not at + len(digits) + 2 < after <= len(data):
                return None
            key, _, value = data[at + len(digits) + 1 : after - 1].partition(b"=")
            at = after
            if key in (b"path", b"GNU.sparse.name"):
                self.name = _text(value)
            elif key == b"size" and value.isdigit() and len(value) < 19:
                self.size = int(value)
            self.sparse |= key.startswith(b"GNU.sparse.")
        return True


def _header(block: bytes) -> tarfile.TarInfo | None:
    """A header block, or None when it is none: its checksum does not hold, or its numbers cannot be."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError):
        return None
    return header if 0 <= header.size < 1 << 62 else None


def _member(header: tarfile.TarInfo, extension: _Extension, offset: int, size: int) -> tuple[Member | None, int]:
    """The member (None for a folder) and where the next header is."""
    name = _text((extension.name or header.name).encode("utf-8", "surrogateescape"))
    length = header.size if extension.size is None else extension.size
    if header.type == tarfile.DIRTYPE or (header.isreg() and name.endswith("/")):
        return None, offset
    if header.type in _SPECIAL:
        words = f"It is {_SPECIAL[header.type]}, to {_text(header.linkname.encode('utf-8', 'surrogateescape'))[:200]!r}"
        return Member(_shown(name), offset, 0, "not_a_file", f"{words}; only plain files are read."), offset
    sparse = extension.sparse or header.type == tarfile.GNUTYPE_SPARSE
    problem, detail = None, ""
    if offset + length > size:
        problem = "truncated"
        detail = f"Its header claims {length} bytes, the archive ends after {max(0, size - offset)} of them."
        return Member(_shown(name), min(offset, size), max(0, size - offset), problem, detail), size
    if sparse:
        problem, detail = "sparse_file", "It is stored with holes. Pack the archive again without --sparse."
    elif not header.isreg():
        problem, detail = "not_a_file", f"It is of the unknown type {header.type!r}; only plain files are read."
    elif leads_out(name):
        problem, detail = "path_outside", "Its name leads out of the archive's folder; such members are not read."
    shown = posixpath.normpath(name) if problem is None else name
    return Member(_shown(shown), offset, length, problem, detail), offset + _padded(length)


def leads_out(name: str) -> bool:
    """True for a name that is absolute, climbs out of its folder, or is no name at all."""
    slashes = name.replace("\\", "/")
    normal = posixpath.normpath(slashes) if slashes else ".."
    return (
        normal.startswith(("/", "../"))
        or normal in (".", "..")
        or "\0" in name
        or slashes[1:3] == ":/"
        or len(name) > LONGEST_NAME
    )


def _after_sparse_map(file: BinaryIO, at: int, block: bytes) -> int:
    """Where the data of a GNU sparse member begin: behind the blocks that continue the map in its header."""
    at, extended, blocks = at + BLOCK, bool(block[482]), 0
    while extended and (blocks := blocks + 1) <= LONGEST_SPARSE_MAP:
        file.seek(at)
        block = file.read(BLOCK)
        at += BLOCK
        extended = len(block) == BLOCK and bool(block[504])
    return at


def _damage(at: int, following: int, size: int, how: str) -> Member:
    if how == "cut":
        words = f"The archive ends within a header, {size - at} bytes into it. Fetch it again."
        return Member("", at, size - at, "truncated", words)
    goes_on = f"the walk goes on at byte {following}" if following < size else "no header follows"
    words = f"The bytes {at} to {following} begin with no header that can be read; {goes_on}. Fetch the archive again."
    return Member("", at, following - at, "bad_header", words)


def _next_header(file: BinaryIO, at: int, size: int) -> int:
    """The next block that is a header beyond doubt, or `size`."""
    length = _FIRST_CHUNK
    while at < size:
        file.seek(at)
        chunk = file.read(length)
        found = chunk.find(_MAGIC)
        while found >= 0:
            start = found - _MAGIC_AT
            if start >= 0 and start % BLOCK == 0:
                block = chunk[start : start + BLOCK]
                if len(block) == BLOCK and _header(block) is not None:
                    return at + start
            found = chunk.find(_MAGIC, found + 1)
        if not chunk:
            break
        at, length = at + length, min(2 * length, _CHUNK)
    return size


def _after_zeros(file: BinaryIO, at: int, size: int) -> int:
    """The first block from `at` on that is not all zeros, or `size`."""
    length = _FIRST_CHUNK
    while at < size:
        file.seek(at)
        chunk = file.read(length)
        rest = chunk.lstrip(b"\0")
        if rest:
            return at + (len(chunk) - len(rest)) // BLOCK * BLOCK
        if not chunk:
            break
        at, length = at + len(chunk), min(2 * length, _CHUNK)
    return size


def _padded(length: int) -> int:
    return (length + BLOCK - 1) // BLOCK * BLOCK


def _text(data: bytes) -> str:
    """UTF-8, with the replacement character for what is none."""
    return data.decode("utf-8", "replace")


def _shown(name: str) -> str:
    return name.replace("\0", "\ufffd")[:LONGEST_NAME]
