"""Read kbld's configuration from its documents into rules."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from bundlepipe.documents.imgpkg import common, images_lock
from bundlepipe.documents.kbld.builders import named_builders, read_builder
from bundlepipe.documents.kbld.config import (
    KBLD_VERSION,
    ImageDestination,
    ImageSource,
    KbldConfig,
    Override,
)
from bundlepipe.documents.kbld.decoding import check_images_lock, decoded_config
from bundlepipe.documents.kbld.rule_documents import read_matcher, read_rule
from bundlepipe.documents.kbld.tag_selection import TagSelection
from bundlepipe.documents.schemas import validator
from bundlepipe.documents.search.annotations import ORIGINS_ANNOTATION, Origin
from bundlepipe.documents.search.kinds import KBLD_API_VERSION, configuration_kind, may_configure
from bundlepipe.documents.search.rules import ImageMatcher, KeyMatcher, SearchRule
from bundlepipe.documents.yaml.core_schema import as_text
from bundlepipe.documents.yaml.fault import Fault, kind, reason, rendered, shown
from bundlepipe.documents.yaml.reader import YamlDocument, decoded, json_values_as_yaml, load_one, parse
from bundlepipe.errors import DocumentError, InvalidContent, InvalidReference
from bundlepipe.oci.manifest import PlatformSelection
from bundlepipe.oci.reference import Reference, Repository

_KEYS = {
    name.lower(): name
    for name in ("minimumRequiredVersion", "searchRules", "keys", "overrides", "sources", "destinations")
}
# Closer to a known key than any key with another meaning would be.
_CLOSE = 0.85
_Data = Mapping[str, Any]
_Keys = tuple[str | int, ...]
_Rule = TypeVar("_Rule")


def parse_config(content: bytes, path: str, *, sole: bool = True, as_kbld: bool = False) -> KbldConfig:
    """Return the configuration in the documents of a file, in order.

    With `sole`, any other document in the file is a fault; otherwise other documents are skipped,
    and only have to be YAML. With `as_kbld` only kbld's own errors are faults. Raises
    DocumentError, calling the file `path`, with all faults; `as_kbld` with the first.
    """
    if not sole and not may_configure(content):
        return KbldConfig()
    if path.endswith(".json"):
        content = json_values_as_yaml(decoded(content, path)).encode()
    config = KbldConfig()
    faults: list[Fault] = []
    kind_of = partial(configuration_kind, as_kbld=as_kbld)
    for document in parse(content, path, None if sole else kind_of, is_own=True):
        document_kind = kind_of(document.node)
        if document_kind == images_lock.KIND:
            if as_kbld:
                check_images_lock(document)
            config += KbldConfig(overrides=tuple(_locked(document, faults)))
        elif document_kind and as_kbld:
            config += _AsKbld(replace(document, data=decoded_config(document)), faults).config()
        elif document_kind:
            config += _configured(document, faults)
        elif document.data is not None:
            faults.append(_foreign(document))
    if faults:
        raise DocumentError(rendered(path, faults))
    return config


def parse_image_map(content: bytes, path: str, *, as_kbld: bool = False) -> tuple[Override, ...]:
    """Return the overrides of kbld's `--image-map-file`: a JSON object of reference to preresolved reference.

    Raises DocumentError, calling the file `path`, with all faults; `as_kbld` with the first error of kbld,
    which accepts empty values.
    """
    if as_kbld:
        from bundlepipe.documents.kbld.image_map import read_image_map_as_kbld

        return read_image_map_as_kbld(content, path)
    document = load_one(json_values_as_yaml(decoded(content, path)).encode(), path, is_own=True)
    if not isinstance(document.data, dict):
        expected = "expected a JSON object of references to preresolved references"
        raise DocumentError([document.problem((), f"the document is {kind(document.data)}, {expected}")])
    faults = [
        document.fault((name,), f"expected a reference and what it resolves to, found {shown(name)}: {kind(value)}")
        for name, value in document.data.items()
        if not name or not isinstance(value, str) or not value
    ]
    if faults:
        raise DocumentError(rendered(path, faults))
    return tuple(
        Override(ImageMatcher(name), value, preresolved=True, where=_where(document, (name,), key=True))
        for name, value in document.data.items()
    )


def _where(document: YamlDocument, keys: _Keys, *, key: bool = False) -> str:
    line, column = document.position(keys, key=key)
    return f"{document.path}:{line}:{column}"


def _foreign(document: YamlDocument) -> Fault:
    data = document.data if isinstance(document.data, dict) else {}
    found = [f"{name} {kind(data[name])}" for name in ("apiVersion", "kind") if name in data]
    expected = f"expected apiVersion '{KBLD_API_VERSION}' and kind 'Config', or an {images_lock.KIND}"
    described = " and ".join(found) or f"{kind(document.data)} without apiVersion and kind"
    return document.fault((), f"not a configuration of kbld: {described}, {expected}")


def _locked(document: YamlDocument, faults: list[Fault]) -> Iterator[Override]:
    """Yield an override for each readable image of an ImagesLock."""
    references, found = common.checked(document, "images-lock", common.listed_images)
    faults += found
    entries = () if found else document.data.get("images") or ()
    for index, (entry, image) in enumerate(zip(entries, map(str, references), strict=False)):
        annotations = {name: as_text(value) for name, value in (entry.get("annotations") or {}).items()}
        keys = "images", index
        # A lock written by hand, for imgpkg, has only the image itself, which then matches itself.
        matcher = ImageMatcher(annotations.get(images_lock.KBLD_ID) or entry["image"])
        origins = _origins_of_lock(document, keys, annotations, faults)
        yield Override(matcher, image, preresolved=True, origins=origins, where=_where(document, keys))


def _origins_of_lock(
    document: YamlDocument, keys: _Keys, annotations: Mapping[str, str], faults: list[Fault]
) -> tuple[Origin, ...]:
    text = annotations.get(ORIGINS_ANNOTATION)
    if not text:
        return ()
    try:
        # kbld writes null if there are none.
        if all(document.data is None for document in parse(text.encode(), ORIGINS_ANNOTATION)):
            return ()
        origins = load_one(text.encode(), ORIGINS_ANNOTATION).data
        if isinstance(origins, list) and all(isinstance(origin, dict) for origin in origins):
            return tuple(origins)
        problem = "expected a list of mappings, as YAML in a string"
    except DocumentError as error:
        problem = error.problems[0]
    faults.append(document.fault((*keys, "annotations", ORIGINS_ANNOTATION), f"{shown(ORIGINS_ANNOTATION)}: {problem}"))
    return ()


def _configured(document: YamlDocument, faults: list[Fault]) -> KbldConfig:
    """Return the configuration in a document; empty if it has faults."""
    document = replace(document, data=_without_nulls(document.data))
    version = document.data.get("minimumRequiredVersion")
    problem = _version_problem(version) if isinstance(version, str) and version else None
    # A newer file may have another format, so its faults mean nothing.
    found = (
        [document.fault(("minimumRequiredVersion",), problem)] if problem else validator.faults(document, "kbld-config")
    )
    if not problem:
        found += _misspelt(document)
    faults += found
    return KbldConfig() if found else _Reader(document, faults).config()


def _misspelt(document: YamlDocument) -> list[Fault]:
    """Return keys that are ignored, as in kbld, although they look like misspelt known keys."""
    unknown = [key for key in document.data if key not in _KEYS.values()]
    meant = [(key, name) for key in unknown for name in difflib.get_close_matches(key.lower(), _KEYS, 1, _CLOSE)]
    return [
        document.fault((key,), f"{shown(key)} is not a key here, did you mean {shown(_KEYS[name])}?", key=True)
        for key, name in meant
    ]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return list(map(_without_nulls, value)) if isinstance(value, list) else value


def _version_problem(text: str) -> str | None:
    from semver import Version

    label = f"'minimumRequiredVersion' is {shown(text)}"
    if text.startswith("v"):
        return f"{label}, expected a version without 'v' before it"
    try:
        version = Version.parse(text, optional_minor_and_patch=True)
    except ValueError:
        return f"{label}, expected a version such as '0.31.0'"
    if version > Version.parse(KBLD_VERSION):
        return f"{label}, but what can be read here is the format of kbld {KBLD_VERSION}"
    return None


class _Reader:
    """Reads a document that is valid by the schema; further faults are added to `faults`."""

    def __init__(self, document: YamlDocument, faults: list[Fault]) -> None:
        self._document = document
        self._data: _Data = document.data
        self._faults = faults

    def config(self) -> KbldConfig:
        keys = tuple(SearchRule(key=KeyMatcher(name)) for name in self._data.get("keys", ()))
        return KbldConfig(
            search_rules=keys + tuple(map(read_rule, self._data.get("searchRules", ()))),
            overrides=self._each("overrides", self._override),
            sources=self._each("sources", self._source),
            destinations=self._each("destinations", self._destination),
        )

    def _each(self, name: str, read: Callable[[_Data, _Keys], _Rule]) -> tuple[_Rule, ...]:
        return tuple(read(data, (name, index)) for index, data in enumerate(self._data.get(name, ())))

    def _override(self, data: _Data, keys: _Keys) -> Override:
        preresolved, new_image = data.get("preresolved", False), data.get("newImage")
        selection, fault = None, None
        if "tagSelection" in data:
            try:
                selection = _tag_selection(data["tagSelection"])
            except InvalidContent as error:
                fault = error
                self._fault((*keys, "tagSelection", "semver", "constraints"), error)
        if new_image and not preresolved:
            self._check(Repository.parse if selection else Reference.parse, new_image, (*keys, "newImage"))
        platform = data.get("platformSelection")
        return Override(
            matcher=read_matcher(data),
            new_image=new_image,
            preresolved=preresolved,
            tag_selection=selection,
            platform_selection=None if platform is None else self._platform_selection(platform),
            origins=tuple(data.get("origins", ())),
            where=_where(self._document, keys),
            fault=fault,
        )

    def _platform_selection(self, data: _Data) -> PlatformSelection:
        return _platform_selection(data, None)

    def _source(self, data: _Data, keys: _Keys) -> ImageSource:
        first, *others = named_builders(data) or [""]
        for name in others:
            text = f"the builder {shown(name)} stands beside {shown(first)}, expected only one"
            self._faults.append(self._document.fault((*keys, name), text, key=True))
        return ImageSource(read_matcher(data), data["path"], read_builder(data), _where(self._document, keys))

    def _destination(self, data: _Data, keys: _Keys) -> ImageDestination:
        self._check(Repository.parse, data["newImage"], (*keys, "newImage"))
        tags = tuple(data.get("tags", ()))
        return ImageDestination(read_matcher(data), data["newImage"], tags, _where(self._document, keys))

    def _check(self, parse_text: Callable[[str], object], text: str, keys: _Keys) -> None:
        try:
            parse_text(text)
        except InvalidReference as error:
            self._fault(keys, error)

    def _fault(self, keys: _Keys, error: Exception) -> None:
        self._faults.append(self._document.fault(keys, f"{shown(str(keys[-1]))}: {reason(error)}"))


class _AsKbld(_Reader):
    """Reads documents that kbld has decoded: faults of an override or destination are reported only when it is used."""

    def _fault(self, keys: _Keys, error: Exception) -> None:
        pass

    def _platform_selection(self, data: _Data) -> PlatformSelection:
        # Fields that are not named must be absent from an image of an index.
        return _platform_selection(data, "")

    def _destination(self, data: _Data, keys: _Keys) -> ImageDestination:
        return super()._destination({"newImage": data.get("image", ""), **data}, keys)


def _tag_selection(data: _Data) -> TagSelection:
    """Parse a tag selection; InvalidContent for constraints that are not a range."""
    if "semver" not in data:
        raise InvalidContent("no way to select tags is named", drop_in="Unknown tag selection strategy")
    semver = data["semver"]
    prereleases = semver.get("prereleases")
    identifiers = None if prereleases is None else frozenset(prereleases.get("identifiers", ()))
    return TagSelection(semver.get("constraints"), identifiers)


def _platform_selection(data: _Data, absent: str | None) -> PlatformSelection:
    return PlatformSelection(
        os=data.get("os") or absent,
        architecture=data.get("architecture") or absent,
        variant=data.get("variant") or None,
        os_version=data.get("os.version") or None,
        os_features=tuple(data.get("os.features", ())),
        features=tuple(data.get("features", ())),
    )
