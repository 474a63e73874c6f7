"""JSON of others: what is read of it, and what is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from bundlepipe.oci import bounded_json
from bundlepipe.oci.bounded_json import JsonFault, loads

TEXTS = ["", "a", 'a,b:c[{"', "\\", '\\"', 'é,"', "\U0001f600[,", "\\\\,", "\ud800"]


def _random_value(source: random.Random, depth: int = 0) -> Any:
    kind = source.randrange(7 if depth < 4 else 4)
    if kind < 2:
        return source.choice(TEXTS)
    if kind < 4:
        return source.choice([0, -1.5, 1e9, True, False, None])
    size = source.randrange(5)
    if kind == 4:
        return [_random_value(source, depth + 1) for _ in range(size)]
    return {source.choice(TEXTS) + str(number): _random_value(source, depth + 1) for number in range(size)}


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + _count(each) for each in value.values())
    return 1 + sum(map(_count, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("seed", range(60))
def test_keys_and_values_are_counted_and_nothing_else(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(seed)
    value = [_random_value(source) for _ in range(source.randrange(6))]
    text = json.dumps(value, indent=source.choice([None, 1]), ensure_ascii=source.choice([True, False]))
    content = text.encode("utf-8", "surrogatepass")
    assert bounded_json.most_values(text) >= _count(value)
    monkeypatch.setattr(bounded_json, "MOST_JSON_VALUES", _count(value))
    assert loads(content) == loads(text) == value
    monkeypatch.setattr(bounded_json, "MOST_JSON_VALUES", _count(value) - 1)
    for form in (content, text):
        with pytest.raises(JsonFault, match=f"^has more than {_count(value) - 1} values, too many for one document$"):
            loads(form)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'"a',
        b'"\\"' * 100_000,
        b"[" * 100_000,
        b"\xff",
        "[]".encode("utf-16"),
        b"1" * 10_000,
    ],
    ids=["empty", "open", "open text", "escaped quotes", "deep", "not UTF-8", "UTF-16", "digits"],
)
def test_what_is_not_json(content: bytes) -> None:
    with pytest.raises(JsonFault, match=r"^is not JSON$"):
        loads(content)


@pytest.mark.parametrize(("character", "most"), [("a", 120), ("é", 120), ("€", 60), ("\U0001f600", 30)])
def test_texts_that_take_more_than_their_bytes_are_refused(
    character: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_json, "LARGEST_JSON_TEXT", 120)
    padding = most - len(character.encode()) - 2
    assert len(loads(f'"{character}{"a" * padding}"'.encode())) == padding + 1
    with pytest.raises(JsonFault, match="MiB of memory, the most for a document"):
        loads(f'"{character}{"a" * (padding + 1)}"'.encode())


def test_a_byte_order_mark_is_no_fault() -> None:
    assert loads(b"\xef\xbb\xbf{}") == {}
