"""Read and write the search rules of kbld's configuration (`searchRules`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundlepipe.documents.search.rules import (
    AnyIndex,
    ImageMatcher,
    KeyMatcher,
    PathPart,
    SearchRule,
    UpdateStrategy,
    Within,
)

_Data = Mapping[str, Any]


def read_rule(data: _Data) -> SearchRule:
    """Parse a rule from `data`, which is valid by the schema."""
    key, value, strategy = data.get("keyMatcher"), data.get("valueMatcher"), data.get("updateStrategy")
    return SearchRule(
        key=_key_matcher(key) if key else None,
        value=read_matcher(value) if value else None,
        strategy=_strategy(strategy) if strategy else "entireValue",
        said=bool(strategy),
    )


def read_matcher(data: _Data) -> ImageMatcher:
    """Parse the matcher in the keys `image` and `imageRepo` of a rule."""
    return ImageMatcher(data.get("image"), data.get("imageRepo"))


def _key_matcher(data: _Data) -> KeyMatcher:
    return KeyMatcher(path=tuple(map(_path_part, data["path"]))) if "path" in data else KeyMatcher(data["name"])


def _path_part(data: Any) -> PathPart:
    if isinstance(data, str):
        return data
    return int(data["index"]) if "index" in data else AnyIndex()


def _strategy(data: _Data) -> UpdateStrategy:
    if "entireValue" in data:
        return "entireValue"
    if "none" in data:
        return "none"
    search = data["yaml"] if "yaml" in data else data["json"]
    return Within("yaml" if "yaml" in data else "json", tuple(map(read_rule, search.get("searchRules", ()))))


def written_rule(rule: SearchRule) -> dict[str, Any]:
    """Return the data of a rule, without defaults."""
    data: dict[str, Any] = {}
    if rule.said or rule.strategy != "entireValue":
        data["updateStrategy"] = _written_strategy(rule.strategy)
    if rule.key:
        data["keyMatcher"] = (
            {"name": rule.key.name} if rule.key.path is None else {"path": list(map(_written_part, rule.key.path))}
        )
    if rule.value:
        data["valueMatcher"] = (
            {"image": rule.value.image} if rule.value.image is not None else {"imageRepo": rule.value.image_repo}
        )
    return data


def _written_part(part: PathPart) -> Any:
    if isinstance(part, AnyIndex):
        return {"allIndexes": True}
    return {"index": part} if isinstance(part, int) else part


def _written_strategy(strategy: UpdateStrategy) -> dict[str, Any]:
    if isinstance(strategy, Within):
        return {strategy.format: {"searchRules": list(map(written_rule, strategy.rules))}}
    return {strategy: {}}
