"""Missing services are told, each in one line, and fail where they are required."""

from __future__ import annotations

import pytest

from tests.support import services
from tests.support.services import MISSING, missing_services, require

NAME = "no-such-service"


@pytest.fixture
def _missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._PROGRAMS, NAME, ("no-such-program",))
    monkeypatch.delenv("BUNDLEPIPE_REQUIRE_SERVICES", raising=False)


@pytest.mark.usefixtures("_missing")
def test_a_missing_service_skips() -> None:
    with pytest.raises(pytest.skip.Exception, match=rf"{MISSING}{NAME} \(no no-such-program in PATH\)"):
        require(NAME)


@pytest.mark.usefixtures("_missing")
def test_a_missing_service_fails_where_services_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLEPIPE_REQUIRE_SERVICES", "1")

    with pytest.raises(pytest.fail.Exception, match=f"{MISSING}{NAME}"):
        require(NAME)


@pytest.mark.usefixtures("_missing")
@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.skip.Exception), ("all", pytest.fail.Exception)])
def test_what_not_every_system_has_is_required_with_all_the_rest_alone(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setattr(services, "_NOT_EVERYWHERE", (NAME,))
    monkeypatch.setenv("BUNDLEPIPE_REQUIRE_SERVICES", required)

    with pytest.raises(outcome, match=f"{MISSING}{NAME}"):
        require(NAME)


@pytest.mark.usefixtures("_missing")
def test_each_thing_that_was_missing_is_told_in_a_line() -> None:
    reasons = [f"Skipped: {MISSING}umoci (x)", "Skipped: another reason", *[f"Skipped: {MISSING}registry (y)"] * 2]

    lines = missing_services(reasons)

    assert f"{MISSING}umoci (x): 1 test was skipped" in lines
    assert f"{MISSING}registry (y): 2 tests were skipped" in lines
    assert f"{MISSING}{NAME} (no no-such-program in PATH): its tests were skipped for another one" in lines


@pytest.mark.usefixtures("_missing")
def test_nothing_is_told_of_what_no_test_lacked() -> None:
    assert missing_services(["Skipped: another reason"]) == []
