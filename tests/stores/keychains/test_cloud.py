"""What keychains of clouds share: whom they are for, how long they remember, and why they have nothing."""

from __future__ import annotations

import time
import warnings
from collections.abc import Hashable

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.cloud import CloudKeychain, Unavailable, expiry, failed
from bundlepipe.stores.keychains.credentials import Credentials

HERE, ELSEWHERE = Repository("a.cloud.test", "app"), Repository("r.example", "app")


class Cloud:
    """A cloud whose registries share credentials, which change with each question."""

    name = "test"

    def __init__(self, reason: str = "") -> None:
        self.asked = 0
        self._reason = reason

    def key(self, host: str) -> Hashable:
        return "all" if host.endswith(".cloud.test") else None

    def fetch(self, host: str, source: str) -> Credentials:
        self.asked += 1
        if self._reason:
            raise Unavailable(self._reason)
        warnings.warn("this Python is old", FutureWarning, stacklevel=1)
        return Credentials("user", f"password-{self.asked}", source=source, expires=expiry(3600))


def test_credentials_are_for_registries_of_the_cloud() -> None:
    cloud = Cloud()
    keychain = CloudKeychain(cloud)

    assert keychain.find(ELSEWHERE) is None
    assert cloud.asked == 0
    assert keychain.find(HERE) == Credentials("user", "password-1", source="keychain test")
    assert keychain.find(Repository("B.CLOUD.TEST", "app")) == keychain.find(HERE), "they have the same"
    assert cloud.asked == 1


def test_they_are_found_anew_before_they_expire_and_when_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    cloud = Cloud()
    keychain = CloudKeychain(cloud)
    first = keychain.find(HERE)
    now += 3539
    assert keychain.find(HERE) == first
    now += 2
    second = keychain.find(HERE)
    assert second != first
    assert keychain.find(HERE, refused=first) == second
    assert keychain.find(HERE, refused=second) not in (first, second)
    assert cloud.asked == 3


def test_why_there_is_nothing_is_remembered() -> None:
    cloud = Cloud("the sky is clear")
    keychain = CloudKeychain(cloud)
    assert keychain.searched(HERE) == ""
    for _ in range(2):
        assert keychain.find(HERE) is None

    assert cloud.asked == 1, "who waited for an answer in vain does not wait again"
    assert keychain.searched(HERE) == "keychain test (the sky is clear)"
    assert keychain.searched(ELSEWHERE) == ""


@pytest.mark.parametrize(("lifetime", "kept"), [(12 * 3600, 12 * 3600 - 60), (120, 90), (0, 0)])
def test_short_lived_credentials_have_a_smaller_margin(
    monkeypatch: pytest.MonkeyPatch, lifetime: float, kept: float
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)

    assert expiry(lifetime) == 1000.0 + kept


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no\nluck\t here"), "no luck here"),
        (ValueError("no luck", object()), "no luck"),
        (ValueError(OSError("no route", 1)), "no route"),
        (OSError(2, "No such file"), "[Errno 2] No such file"),
        (ValueError(), "ValueError"),
        (ValueError(f"the token {'aB3_' * 12}.{'cD4-' * 12} is bad"), "the token ***.*** is bad"),
    ],
)
def test_a_failure_is_told_in_one_line_without_tokens(error: Exception, words: str) -> None:
    assert str(failed(error)) == words
