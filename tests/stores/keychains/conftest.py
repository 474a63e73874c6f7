"""Libraries of clouds that know nobody yet, and reach nothing beyond this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Hide = Callable[[str], None]

_PREFIXES = ("AWS_", "AZURE_", "CLOUDSDK_", "GCE_", "GITHUB_", "GOOGLE_", "IDENTITY_", "IMDS_", "MSI_")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine knows of clouds, and keep libraries from asking beyond it."""
    for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")


@pytest.fixture
def uninstall(monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Make an import of a library fail: `uninstall("botocore")`."""

    def hide(name: str) -> None:
        for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)

    return hide
