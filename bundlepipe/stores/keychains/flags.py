"""Credentials from command line flags, for every registry that a command uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials

# The texts that Go's strconv.ParseBool accepts, as in Go tools' flags and variables.
GO_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def truth(variable: str, environ: Mapping[str, str]) -> bool:
    """Return the boolean value of a variable, false if it is not set; StoreError for texts that Go does not accept."""
    text = environ.get(variable) or "false"
    if text not in GO_TRUTHS:
        raise StoreError(f"{variable} in the environment is neither true nor false")
    return GO_TRUTHS[text]


@dataclass(frozen=True)
class RegistryFlags:
    """The values of `--registry-username`, `-password`, `-token` and `-anon`; by default none is given.

    The first of these is used: user name and password, the token, which is sent to registries unchanged, or
    `anon`, which disables credentials. `source` names the place of the values in messages, such as `the
    flags --registry-username and --registry-password`. With `takes_half_accounts` a user name may have no
    password, and a password without a user name is ignored.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    anon: bool = False
    source: str = "the flags"
    takes_half_accounts: bool = False

    @property
    def are_given(self) -> bool:
        """Whether any flag is set, so that no further sources are searched."""
        password = "" if self.takes_half_accounts else self.password
        return bool(self.username or password or self.token or self.anon)


class FlagsKeychain:
    """The credentials of the flags, for any registry; StoreError for only a user name or password."""

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
        """Return the credentials; None if they are disabled."""
        return self._credentials

    def searched(self, repository: Repository) -> str:
        """Return why there are none."""
        return f"and no others are looked for because of {self._source}"
