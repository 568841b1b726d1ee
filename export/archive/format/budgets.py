"""How much of a stranger's archive is read: members, and bytes of each."""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ....errors import InputError
from ....handlers.model.digests import DIGESTS, MANIFEST, SIGNATURE

KIB, MIB, GIB = 2**10, 2**20, 2**30

# Members may not expand to more than this in all. Beyond what harms no machine, they may not expand to more than so
# many times the archive either: a table of zeros, which does, is a small one.
MAX_BYTES = 64 * GIB
HARMLESS_BYTES = GIB
MAX_RATIO = 200

MAX_MEMBERS = 20_000
_NAME_BYTES = 255  # between two "/", as file systems have it
MAX_DIRECTORY = 8 * MIB

CONFIG_BYTES = 64 * KIB
# What is read into memory, by name; each leaves room for a model of 100,000 labels.
_LIMITS = {
    MANIFEST: MIB,
    DIGESTS: MIB,
    SIGNATURE: 64 * KIB,
    "MAR-INF/EVIDENCE.json": 32 * MIB,  # a confusion matrix of 1,000 labels has 26 MB
    "MAR-INF/SBOM.cdx.json": 4 * MIB,
    "model.json": MIB,
    "model-config.yaml": CONFIG_BYTES,
    "requirements.txt": 64 * KIB,
    "text.json": MIB,
    "characters.txt": 16 * MIB,
    "tokenizer.json": 256 * MIB,  # a million tokens, or as many merges, have 80 MB
    "labels.json": 16 * MIB,
    "README.md": 16 * MIB,
    "golden.jsonl": 512 * MIB,  # 64 goldens with the scores of 100,000 labels
}
_CODE = MIB  # of a member .py
# Beyond so many bytes text is refused that expands to more than so many times its packed size: real text does not.
_HARMLESS_TEXT = 16 * MIB
_TEXT_RATIO = 50
_TEXT = re.compile(r".*\.(txt|jsonl)")


def limit_of(name: str) -> int:
    """Return the bytes that a member of an archive of lexport's may have."""
    return _LIMITS.get(name, _CODE if name.endswith(".py") else MAX_BYTES)


def check_sizes(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise InputError for a member of an archive of lexport's that is larger than such a member ever is."""
    for member in members:
        size, limit = member.file_size, limit_of(member.filename)
        if _TEXT.fullmatch(member.filename):
            limit = min(limit, max(_HARMLESS_TEXT, _TEXT_RATIO * member.compress_size))
        if size > limit:
            raise too_large(path, member.filename, size, limit)


def too_large(path: Path, name: str, size: int, limit: int) -> InputError:
    """Return the refusal to read a member."""
    return InputError(
        f"{path}: {name} would expand to {size:,} bytes; at most {limit:,} are read. Make the archive again.",
        code="LX-ARCHIVE-042",
    )


def check_members(path: Path, members: Sequence[zipfile.ZipInfo], own: int) -> None:
    """Raise InputError for a member that could land outside the folder or that is no plain file or empty folder.

    own: the bytes of the archive. Refused are absolute names and `..` (they write anywhere), empty ones and those
    with characters that cannot be printed, links (they read anywhere), compiled Python (it runs in place of the
    source that is there to be read), encrypted members, folders with content, names that come twice or differ in case
    only (one silently replaces the other) or are a file and a folder, more than 20,000 members, and what expands to
    more than 64 GiB, or to 200 times the archive and more than 1 GiB, or shares bytes between members (bombs).
    """
    if len(members) > MAX_MEMBERS:
        raise InputError(
            f"{path} holds {len(members):,} members; at most {MAX_MEMBERS:,} are accepted.", code="LX-ARCHIVE-043"
        )
    seen: set[str] = set()
    folders: set[str] = set()
    for member in members:
        pure = _checked(path, member)
        name = str(pure).casefold()
        if name in seen:
            raise InputError(
                f"{path} holds the member {member.filename!r} twice. Make the archive again.", code="LX-ARCHIVE-044"
            )
        seen.add(name)
        folders.update(str(folder).casefold() for folder in pure.parents)
    files = {str(PurePosixPath(one.filename)).casefold() for one in members if not one.is_dir()}
    if both := sorted(files & folders):
        raise InputError(
            f"{path} holds {both[0]!r} as a file and as a folder. Make the archive again.", code="LX-ARCHIVE-045"
        )
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise InputError(
            f"{path} would expand to {total:,} bytes; at most {MAX_BYTES:,} are accepted.", code="LX-ARCHIVE-046"
        )
    if total > max(MAX_RATIO * own, HARMLESS_BYTES):
        raise InputError(
            f"{path}, {own:,} bytes, would expand to {total:,}; at most {MAX_RATIO} times are accepted.",
            code="LX-ARCHIVE-047",
        )
    if sum(member.compress_size for member in members) > own:
        raise InputError(f"{path} holds members that overlap. Make the archive again.", code="LX-ARCHIVE-048")


def _checked(path: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    """Return the name of a member that is good by itself."""
    name = member.filename
    pure = PurePosixPath(name)
    if not pure.name:
        raise InputError(
            f"{path} holds a member without a name ({name!r}). Make the archive again.", code="LX-ARCHIVE-049"
        )
    if max(len(part.encode("utf-8", "replace")) for part in pure.parts) > _NAME_BYTES:
        raise InputError(
            f"{path} holds a name of more than {_NAME_BYTES} bytes ({name[:40]!r}…). Rename the file.",
            code="LX-ARCHIVE-050",
        )
    if not member.orig_filename.isprintable():
        raise InputError(
            f"{path} holds the name {member.orig_filename!r}, which cannot be printed. Rename the file.",
            code="LX-ARCHIVE-051",
        )
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or re.match(r"[A-Za-z]:", name):
        raise InputError(
            f"{path} holds the member {name!r}, which would be written outside of its folder.", code="LX-ARCHIVE-052"
        )
    if "__pycache__" in pure.parts or pure.suffix == ".pyc":
        raise InputError(
            f"{path} holds the compiled code {name!r}, which Python would run unseen.", code="LX-ARCHIVE-053"
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{path} holds the link {name!r}. Expected plain files.", code="LX-ARCHIVE-054")
    if member.flag_bits & 1:
        raise InputError(f"{path} holds the encrypted member {name!r}. Expected plain files.", code="LX-ARCHIVE-055")
    if member.is_dir() and (member.file_size or member.compress_size):
        raise InputError(
            f"{path} holds the folder {name!r} with bytes of its own. Make the archive again.", code="LX-ARCHIVE-056"
        )
    return pure
