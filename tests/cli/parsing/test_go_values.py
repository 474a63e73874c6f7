from __future__ import annotations

import pytest

from bundlepipe.cli.parsing.go_values import Duration, go_int, int_fault


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0x10", 16),
        ("0X1F", 31),
        ("1_0", 10),
        ("0x_1", 1),
        ("-0x2", -2),
        ("+3", 3),
        ("0b11", 3),
        ("010", 8),
        ("0_7", 7),
    ],
)
def test_numbers_may_say_their_base(text: str, number: int) -> None:
    assert int_fault(text) is None
    assert go_int(text) == number


@pytest.mark.parametrize("text", ["", "0x", "08", "_1", "1_", "1__0", "0b2", "1e3", "--1", " 1", "\u0661"])
def test_what_is_no_number(text: str) -> None:
    assert int_fault(text) == f'strconv.ParseInt: parsing "{text}": invalid syntax'


def test_a_number_is_of_64_bits() -> None:
    assert int_fault(f"{2**63 - 1}") is None
    assert int_fault(f"{2**63}") == f'strconv.ParseInt: parsing "{2**63}": value out of range'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h2m", 3720), ("1.5s", 1.5), (".5s", 0.5), ("60.s", 60), ("-3s", 0), ("0", 0), ("1us", 1e-6), ("0.1ns", 0)],
)
def test_times(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


def test_a_time_of_centuries_is_one_that_sockets_take() -> None:
    assert Duration().convert(f"{2**63 - 1}ns", None, None) == 1e9
    assert Duration().fault(f"{2**63}ns") == f'time: invalid duration "{2**63}ns"'


def test_numbers_of_very_many_digits() -> None:
    """Python itself makes no number of such a text."""
    nines = "9" * 5000
    assert int_fault(nines) == f'strconv.ParseInt: parsing "{nines}": value out of range'
    assert int_fault("0" * 5000 + "7") is None
    assert Duration().fault(f"{nines}s") == f'time: invalid duration "{nines}s"'
    assert Duration().convert(f"0.{nines}s", None, None) == pytest.approx(1)
