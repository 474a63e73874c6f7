"""A keychain that holds what a test puts there."""

from __future__ import annotations

import threading

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials
from tests.support.registries import ALICE


class Keys:
    """Holds the same credentials, or none, for every repository; `asked` counts how often it was asked."""

    NAME = "the keychain of the tests"

    def __init__(self, credentials: Credentials | None) -> None:
        self.credentials = credentials
        self.asked = 0

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return what it holds."""
        assert repository.path
        self.asked += 1
        return self.credentials

    def searched(self, repository: Repository) -> str:
        """Return what messages call it."""
        return self.NAME


class Turns(Keys):
    """Holds one after the other: the next one each time it is asked, in the end always the last."""

    def __init__(self, *credentials: Credentials) -> None:
        super().__init__(credentials[-1])
        self._first = credentials[:-1]
        self.refused: list[Credentials | None] = []
        self._lock = threading.Lock()

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return what it holds now."""
        with self._lock:
            turn = self.asked
            self.refused.append(refused)
            last = super().find(repository)
            return self._first[turn] if turn < len(self._first) else last


def alice(password: str = ALICE.password) -> Keys:
    """Return a keychain with the user whom the registries know."""
    return Keys(Credentials(ALICE.username, password, source=Keys.NAME))


def nobody() -> Keys:
    """Return an empty keychain."""
    return Keys(None)
