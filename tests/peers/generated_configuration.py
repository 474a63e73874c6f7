"""Command lines of kbld on generated documents, rules, overrides and locks: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import yaml

from tests.peers.cases import Case, Cases
from tests.peers.kbld_cases import ABSENT, images

_SEEDS = range(1, 141)

_KEYS = ("image", "img", "name", "text", "spec", "containers", "items", "template", "url")
_ABSENT = f"{{prefix}}/absent/{ABSENT}"
_RESOLVABLE = ("{prefix}/app:1.0.0", "{prefix}/app", "{prefix}/app@{app-2.0.0}", "{prefix}/app:multi", _ABSENT)
# What overrides, locks and rules speak of.
_NAMED = ("{prefix}/named", "{prefix}/other:1", "{prefix}/team/app:v1", "{prefix}/app:1.1.0")
_CONSTRAINTS = ("<2.0.0", ">=1.0.0", "1.0.x || 1.1.x", "^1", "~1.1")
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/s390x")


class _Generator:
    """Makes documents and configuration; every choice comes of the seed."""

    def __init__(self, seed: int) -> None:
        self._choose = random.Random(seed)

    def one_of(self, *values: Any) -> Any:
        """Return one of the values."""
        return self._choose.choice(values)

    def happens(self, chance: float) -> bool:
        """Return whether something happens whose probability is `chance`."""
        return self._choose.random() < chance

    def reference(self) -> str:
        """Return an image as it stands in configuration."""
        text: str = self.one_of(*_RESOLVABLE, *_NAMED)
        return text

    def value(self, depth: int = 0) -> Any:
        """Return a value of a document: a text, an image, or more values."""
        if depth > 2 or self.happens(0.4):
            return self.one_of(self.reference(), "text", 1, 1.5, None, True, "", self._embedded())
        if self.happens(0.4):
            return [self.value(depth + 1) for _ in range(self._choose.randint(0, 3))]
        return {self.one_of(*_KEYS): self.value(depth + 1) for _ in range(self._choose.randint(0, 3))}

    def _embedded(self) -> str:
        return str(self.one_of(f"image: {self.reference()}\n", f'{{"image": "{self.reference()}"}}', "image: [\n"))

    def resource(self) -> dict[str, Any]:
        """Return a document with something of its own, and surely an image."""
        named = {"name": self.one_of("one", "two"), **({"namespace": "here"} if self.happens(0.3) else {})}
        if self.happens(0.2):
            named["annotations"] = {"mine": "yes"}
        kind = self.one_of("Pod", "List", "Job")
        head = {"apiVersion": self.one_of("v1", "apps/v1"), "kind": kind, "metadata": named}
        own = {self.one_of(*_KEYS[:-3]): self.value() for _ in range(self._choose.randint(0, 3))}
        if kind == "List":
            own["items"] = [{"image": self.reference(), **self._map()} for _ in range(self._choose.randint(0, 3))]
        return {**head, "image": self.reference(), **own}

    def _map(self) -> dict[str, Any]:
        found = self.value()
        return found if isinstance(found, dict) else {}

    def configuration(self) -> dict[str, Any]:
        """Return a document of kbld with rules and overrides for some of the images."""
        document: dict[str, Any] = {"apiVersion": "kbld.k14s.io/v1alpha1", "kind": "Config"}
        document["overrides"] = [self._override(name) for name in _NAMED[:3]]
        self._choose.shuffle(document["overrides"])
        if self.happens(0.6):
            document["searchRules"] = [self._rule() for _ in range(self._choose.randint(1, 3))]
        if self.happens(0.2):
            document["keys"] = ["img"]
        return document

    def _override(self, name: str) -> dict[str, Any]:
        repository = name.removesuffix(":1").removesuffix(":v1")
        named = {"imageRepo": repository} if self.happens(0.4) else {"image": name}
        match self._choose.randint(0, 4):
            case 0:
                return {**named, "newImage": f"{{prefix}}/new/{ABSENT}", "preresolved": True}
            case 1:
                selection: dict[str, Any] = {"constraints": self.one_of(*_CONSTRAINTS)}
                if self.happens(0.3):
                    selection["prereleases"] = self.one_of({}, {"identifiers": ["rc"]})
                return {**named, "newImage": "{prefix}/app", "tagSelection": {"semver": selection}}
            case 2:
                system, architecture = self.one_of(*_PLATFORMS[:2]).split("/")
                selected = {"os": system, "architecture": architecture}
                return {**named, "newImage": "{prefix}/app:multi", "platformSelection": selected}
        return {**named, "newImage": self.one_of(*_RESOLVABLE)}

    def _rule(self) -> dict[str, Any]:
        rule: dict[str, Any] = {}
        if self.happens(0.8):
            path = ["spec", self.one_of({"allIndexes": True}, {"index": 0}, "image"), "image"]
            rule["keyMatcher"] = self.one_of({"name": "img"}, {"name": "url"}, {"name": "text"}, {"path": path})
        if self.happens(0.3) or not rule:
            rule["valueMatcher"] = self.one_of({"image": _NAMED[1]}, {"imageRepo": "{prefix}/team/app"})
        if self.happens(0.4):
            inner = {"searchRules": [{"keyMatcher": {"name": "image"}}]}
            rule["updateStrategy"] = self.one_of({"none": {}}, {"yaml": inner}, {"json": inner}, {"entireValue": {}})
        return rule

    def lock(self) -> dict[str, Any]:
        """Return an ImagesLock for some of the images."""
        return {
            "apiVersion": "imgpkg.carvel.dev/v1alpha1",
            "kind": "ImagesLock",
            "images": [
                {"image": f"{{prefix}}/locked/{ABSENT}", "annotations": {"kbld.carvel.dev/id": name}}
                for name in _NAMED[: self._choose.randint(1, 3)]
            ],
        }

    def flags(self) -> str:
        """Return flags that go together."""
        return "".join(
            flag
            for flag, chance in (
                (" --images-annotation=false", 0.2),
                (" --origins-annotation=false", 0.2),
                (self.one_of(" --lock-output lock.yml", " --imgpkg-lock-output lock.yml"), 0.5),
                (f" --platform {self.one_of(*_PLATFORMS)}", 0.2),
                (" --sort", 0.15),
                (" --json", 0.1),
                (" --tty", 0.1),
            )
            if self.happens(chance)
        )


def generated_configuration() -> Iterator[Case]:
    """Yield the command lines of all seeds: one that resolves, and for some another that lists images."""
    for seed in _SEEDS:
        make = _Generator(seed)
        files = {
            f"config/{name}.yml": yaml.safe_dump_all([make.resource() for _ in range(make.one_of(1, 1, 2, 4))])
            for name in ("a", "b", "sub/c")[: make.one_of(1, 2, 3)]
        }
        if make.happens(0.8):
            files["config/kbld.yml"] = yaml.safe_dump(make.configuration())
        if make.happens(0.4):
            files["config/images.yml"] = yaml.safe_dump(make.lock())
        cases = Cases("kbld", f"generated-{seed}")
        cases.add(f"-f config{make.flags()}", set_up=images, files=files)
        if make.happens(0.2):
            cases.add(make.one_of("-f config --unresolved-inspect", "inspect -f config"), set_up=images, files=files)
        yield from cases.found
