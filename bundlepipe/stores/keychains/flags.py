"""Credentials on the command line, for every registry that a command talks to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials

# What Go's strconv.ParseBool understands, as its tools do for flags and variables.
GO_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def truth(variable: str, environ: Mapping[str, str]) -> bool:
    """Return what a variable says, false where it is not set; StoreError for what is no truth value of Go's."""
    text = environ.get(variable) or "false"
    if text not in GO_TRUTHS:
        raise StoreError(f"{variable} in the environment is neither true nor false")
    return GO_TRUTHS[text]


@dataclass(frozen=True)
class RegistryFlags:
    """The values of `--registry-username`, `-password`, `-token` and `-anon`; by default nothing was given.

    The first that is there counts: user name and password, the token, which registries are
    sent as it is, or `anon`, which says that there are to be no credentials. `source` is
    how messages name where they were given, such as `the flags --registry-username and
    --registry-password`. With `takes_half_accounts` a user name may do without a password,
    and a password without a user name says nothing.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    anon: bool = False
    source: str = "the flags"
    takes_half_accounts: bool = False

    @property
    def are_given(self) -> bool:
        """Whether they say anything, so that no place after them is searched."""
        password = "" if self.takes_half_accounts else self.password
        return bool(self.username or password or self.token or self.anon)


class FlagsKeychain:
    """What the flags say, whatever the registry; StoreError for a user name or password alone."""

    def __init__(self, flags: RegistryFlags) -> None:
        if bool(flags.username) != bool(flags.password) and not flags.takes_half_accounts:
            given, missing = ("a user name", "password") if flags.username else ("a password", "user name")
            raise StoreError(f"{flags.source}: there is {given}, but no {missing}")
        self._source = flags.source
        self._credentials: Credentials | None = None
        if flags.username:
            self._credentials = Credentials(flags.username, flags.password, source=flags.source)
        elif flags.token:
            self._credentials = Credentials(registry_token=flags.token, source=flags.source)

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials; None if there are to be none."""
        return self._credentials

    def searched(self, repository: Repository) -> str:
        """Return why there are none."""
        return f"and no others are looked for because of {self._source}"
