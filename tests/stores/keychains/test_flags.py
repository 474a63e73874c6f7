"""Credentials on the command line."""

from __future__ import annotations

import pytest

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials
from bundlepipe.stores.keychains.flags import FlagsKeychain, RegistryFlags

REPOSITORY = Repository("r.example", "app")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (RegistryFlags("user", "word"), Credentials("user", "word", source="the flags")),
        (RegistryFlags(token="token"), Credentials(registry_token="token", source="the flags")),
        (RegistryFlags(token="token", anon=True), Credentials(registry_token="token", source="the flags")),
        (RegistryFlags("user", "word", token="token", source="X"), Credentials("user", "word", source="X")),
        (RegistryFlags(anon=True), None),
    ],
)
def test_the_first_flag_that_is_there_counts(flags: RegistryFlags, expected: Credentials | None) -> None:
    assert flags.are_given
    assert FlagsKeychain(flags).find(REPOSITORY) == expected


def test_without_any_nothing_is_given() -> None:
    assert not RegistryFlags(source="X").are_given


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (RegistryFlags("user", source="the flag --registry-username"), "there is a user name, but no password"),
        (RegistryFlags(password="SECRET-1", source="the flag --registry-username"), "a password, but no user name"),
        (RegistryFlags("user", token="SECRET-1", source="the flag --registry-username"), "but no password"),
    ],
)
def test_half_of_a_pair_is_an_error(flags: RegistryFlags, message: str) -> None:
    with pytest.raises(StoreError) as error:
        FlagsKeychain(flags)
    assert str(error.value).startswith("the flag --registry-username: there is ")
    assert message in str(error.value)
    assert "SECRET" not in str(error.value) + repr(flags)


def test_who_wants_to_be_anonymous_is_reminded() -> None:
    keychain = FlagsKeychain(RegistryFlags(anon=True, source="the flag --registry-anon"))

    assert keychain.searched(REPOSITORY) == "and no others are looked for because of the flag --registry-anon"
