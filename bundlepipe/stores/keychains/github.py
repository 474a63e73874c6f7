"""The keychain `github`: the token of a GitHub Actions workflow, for GitHub's registry.

Source: imgpkg's keychain of that name, and "Working with the Container registry" of GitHub.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from bundlepipe.stores.keychains.cloud import Unavailable
from bundlepipe.stores.keychains.credentials import Credentials

_HOST = "ghcr.io"
# GitHub checks only the token.
_NOBODY = "unset"


class GitHub:
    """`GITHUB_TOKEN`, for the user `GITHUB_ACTOR`."""

    name = "github"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def key(self, host: str) -> Hashable:
        """Return the registry if it is GitHub's."""
        return host if host == _HOST else None

    def fetch(self, host: str, source: str) -> Credentials:
        """Return the token; Unavailable without the variable."""
        token = self._environ.get("GITHUB_TOKEN", "")
        if not token:
            raise Unavailable("GITHUB_TOKEN is not set")
        return Credentials(self._environ.get("GITHUB_ACTOR") or _NOBODY, token, source=source)
