"""Records besides doit's database: the digest of everything that tasks made.

A record is named for what was made, in a pipeline with a prefix `PREFIX:NAME`.
"""

from __future__ import annotations

import contextlib
import os

from bundlepipe.errors import BundlepipeError, InvalidDigest, InvalidReference
from bundlepipe.filesystem.base_directory import anchored, remove_file
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.records.groups import GROUP_OF, group_name
from bundlepipe.pipeline.records.identity import identity
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation, Location, parse_location

STATE_DIRECTORY = ".bundlepipe"
# Of jobs of CI, which keep plans and reports there, since it is no part of any input.
CI_DIRECTORY = os.path.join(STATE_DIRECTORY, "ci")
_DIGESTS = os.path.join(STATE_DIRECTORY, "digests")
_OUTPUTS = os.path.join(STATE_DIRECTORY, "outputs")
_INTENDED = os.path.join(STATE_DIRECTORY, "intended")
_TAGS = os.path.join(STATE_DIRECTORY, "tags")


def intend_output(kind: str, name: str, path: str, status: os.stat_result) -> None:
    """Record a file that is about to be renamed to `path`, by its identity, which a rename keeps.

    So a task that is killed between the rename and `record_output` recognises its own output, and
    one that is killed before the rename does not adopt the file it was about to replace.
    """
    write_if_changed(os.path.join(_INTENDED, kind, name), _intention(path, status))


def record_output(kind: str, name: str, path: str) -> None:
    """Record that a task made the file or directory now at `path`."""
    write_if_changed(os.path.join(_OUTPUTS, kind, name), _making(path, identity(path)))
    _forget(_INTENDED, kind, name)


def forget_output(kind: str, name: str) -> None:
    """Remove the record of an output, since the output is removed."""
    for records in (_OUTPUTS, _INTENDED):
        _forget(records, kind, name)


def made_output(kind: str, name: str, path: str, base: str = "") -> bool:
    """Return whether the task of this kind and name made the output at this path, even if it was edited since.

    An output that others created again at the path does not count, unless the record is one of an older release,
    which has only the path. `base` is the directory of the pipeline, to which paths in records are relative; by
    default the current one.
    """
    own = os.path.relpath(anchored(path), anchored(base)) if base else path
    recorded = _read_record(os.path.join(base, _OUTPUTS, kind, name))
    try:
        if recorded in (os.fsencode(own), _making(own, identity(path))):
            return True
        intended = _intention(own, os.lstat(anchored(path)))
    except OSError:
        return False
    return _read_record(os.path.join(base, _INTENDED, kind, name)) == intended


def recorded_prefixes(base: str) -> list[str]:
    """Return the prefixes of the pipelines that made outputs, by the records in `base`; first the empty one."""
    found = {""}
    for records in (_OUTPUTS, _INTENDED):
        for _, _, names in os.walk(anchored(os.path.join(base, records))):
            found.update(name.rpartition(":")[0] for name in names)
    return sorted(found)


def _making(path: str, made: bytes) -> bytes:
    return b"%s %s" % (made, os.fsencode(path))


def _intention(path: str, status: os.stat_result) -> bytes:
    # Also the time, since inode numbers are reused.
    return b"%d:%d:%d %s" % (status.st_dev, status.st_ino, status.st_mtime_ns, os.fsencode(path))


def _read_record(path: str) -> bytes | None:
    try:
        with open(anchored(path), "rb") as file:
            return file.read()
    except OSError:
        return None


def _forget(records: str, kind: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        remove_file(os.path.join(records, kind, name))


def tag_file(name: str) -> str:
    """Return the path of the file with the tag that a copy wrote.

    It is separate from the digest file, since for pulls the same image with another tag is
    unchanged.
    """
    return os.path.join(_TAGS, name)


def write_tag(name: str, tag: str | None) -> None:
    """Record the tag that a copy wrote; an unchanged file is not touched."""
    write_if_changed(tag_file(name), f"{tag or ''}\n".encode())


def read_tag(name: str) -> str | None:
    """Return the tag that a copy wrote; None if there is none, or it is unknown."""
    try:
        with open(anchored(tag_file(name)), "rb") as file:
            return file.read().decode(errors="replace").strip() or None
    except OSError:
        return None


def digest_file(kind: str, name: str) -> str:
    """Return the path of the file with the `repository@digest` that a task made."""
    return os.path.join(_DIGESTS, kind, name)


def write_digest(kind: str, name: str, made: str) -> None:
    """Record what was made; an unchanged file is not touched, so nothing that depends on it becomes stale."""
    write_if_changed(digest_file(kind, name), f"{made}\n".encode())


def read_digest(kind: str, name: str) -> Reference:
    """Return what was pushed last; BundlepipeError if it is unknown."""
    task = _task(f"push_{kind}", name)
    text = _read_made(kind, name, task)
    try:
        return Reference.parse(text)
    except InvalidReference as error:
        raise _damaged(kind, name, str(error), task) from None


def read_copied(name: str) -> list[Location]:
    """Return where a copy put its images, a tar file as a whole; BundlepipeError if it is unknown."""
    task, kind = _task("copy_bundle", name), "copy"
    try:
        return list(dict.fromkeys(map(_copied, _read_made(kind, name, task).splitlines())))
    except (InvalidReference, InvalidDigest) as error:
        raise _damaged(kind, name, str(error), task) from None


def _copied(text: str) -> Location:
    place, _, digest = text.rpartition("@")
    location = parse_location(place)
    if isinstance(location, LayoutLocation):
        return LayoutLocation(location.directory, str(Digest.parse(digest)))
    if isinstance(location, EngineLocation):
        return EngineLocation(Digest.parse(digest))
    return location if isinstance(location, ArchiveLocation) else Reference.parse(text)


def _read_made(kind: str, name: str, task: str) -> str:
    try:
        with open(anchored(digest_file(kind, name)), "rb") as file:
            return file.read().decode(errors="replace").strip()
    except FileNotFoundError:
        own_name = name.rpartition(":")[2]
        raise BundlepipeError(f"{kind} '{own_name}' has not been made yet: run doit {task}") from None


def record_text(path: str, image: str, tag: str | None) -> str | None:
    """Return what is in the record of a digest or a tag, for the values `image` and `tag` of its task; else None."""
    records = os.path.dirname(path)
    if records == _TAGS:
        return f"{tag or ''}\n"
    return f"{image}\n" if os.path.dirname(records) == _DIGESTS else None


def is_record(path: str) -> bool:
    """Return whether a file is a record of the pipeline, not an output."""
    return path.startswith(STATE_DIRECTORY + os.sep)


def task_of_record(path: str) -> str | None:
    """Return the name of the task whose result, a digest or a tag, is recorded in a file; None for another file."""
    directory, record = os.path.split(path)
    records, kind = os.path.split(directory)
    if directory == _TAGS:
        return _task(GROUP_OF["copy"], record)
    return _task(GROUP_OF[kind], record) if records == _DIGESTS and kind in GROUP_OF else None


def _task(group: str, record: str) -> str:
    prefix, _, name = record.rpartition(":")
    return f"{group_name(group, prefix)}:{name}"


def _damaged(kind: str, name: str, why: str, task: str) -> BundlepipeError:
    return BundlepipeError(f"{digest_file(kind, name)}: is damaged ({why}): remove it, and run doit {task}")
