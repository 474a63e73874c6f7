"""A keychain that holds what a test puts there."""

from __future__ import annotations

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.credentials import Credentials
from tests.support.registries import ALICE


class Keys:
    """Holds the same credentials, or none, for every repository; `asked` counts how often it was asked."""

    searched = "the keychain of the tests"

    def __init__(self, credentials: Credentials | None) -> None:
        self.credentials = credentials
        self.asked = 0

    def find(self, repository: Repository) -> Credentials | None:
        """Return what it holds."""
        assert repository.path
        self.asked += 1
        return self.credentials


def alice(password: str = ALICE.password) -> Keys:
    """Return a keychain with the user whom the registries know."""
    return Keys(Credentials(ALICE.username, password, source=Keys.searched))


def nobody() -> Keys:
    """Return an empty keychain."""
    return Keys(None)
