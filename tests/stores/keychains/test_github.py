"""The keychain `github`."""

from __future__ import annotations

import pytest

from bundlepipe.stores.keychains.cloud import Unavailable
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.github import GitHub


def test_the_token_of_a_workflow_is_for_githubs_registry() -> None:
    keychain = GitHub({"GITHUB_TOKEN": "ghs_1", "GITHUB_ACTOR": "octocat"})

    assert keychain.key("ghcr.io") is not None
    assert keychain.key("docker.pkg.github.com") is None
    assert keychain.key("evil-ghcr.io") is None
    assert keychain.fetch("ghcr.io", "X") == Credentials("octocat", "ghs_1", source="X")


def test_without_an_actor_there_is_a_name_all_the_same() -> None:
    assert GitHub({"GITHUB_TOKEN": "ghs_1"}).fetch("ghcr.io", "X").username == "unset"


@pytest.mark.parametrize("environ", [{}, {"GITHUB_TOKEN": ""}])
def test_without_a_token_there_is_nothing(environ: dict[str, str]) -> None:
    with pytest.raises(Unavailable, match=r"^GITHUB_TOKEN is not set$"):
        GitHub(environ).fetch("ghcr.io", "X")
