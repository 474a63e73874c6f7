from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from bundlepipe.filesystem.temporary import NoRoom, temporary_file, temporary_room


def test_a_directory_that_takes_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(NoRoom) as error:
        temporary_file("the layer", 7)
    assert str(error.value) == (
        f"{tmp_path}/gone: the layer (up to 7 bytes) cannot be kept there: No such file or directory: make room, or "
        "name another directory with TMPDIR"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = f"{tmp_path}: layers cannot be kept there: {os.strerror(number)}: "
    with pytest.raises(NoRoom, match=told), temporary_room("layers"):
        raise OSError(number, os.strerror(number))


def test_other_errors_are_others_to_tell() -> None:
    with pytest.raises(PermissionError), temporary_room("layers"):
        raise PermissionError(errno.EACCES, "no", "input.txt")
    with pytest.raises(ConnectionResetError), temporary_room("layers"):
        raise ConnectionResetError(errno.ECONNRESET, "gone")
