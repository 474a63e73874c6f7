"""A monorepo of bundles nested three deep, with images of files and copies, and the two registries that it goes to."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import urllib3

from tests.support.command import Command
from tests.support.git import commit_all, git
from tests.support.proxy import Proxy
from tests.support.services import Registry

# 5 makes 200 bundles.
_SCALE = int(os.environ.get("MONOREPO_SCALE", "1"))
LEAVES, MIDDLES, TOPS, IMAGES = 24 * _SCALE, 12 * _SCALE, 4 * _SCALE, 4
_MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json,application/vnd.oci.image.manifest.v1+json"
_PUSHED_TO, _COPIED_TO = "m", "s"


class Monorepo:
    """A git repository with the pipeline, its CI settings and what `engine` reads; CI calls the `bundlepipe` in PATH.

    Bundles `top00` to `top03` include bundles `mid00` to `mid11`, which include `leaf00` to `leaf23`.
    """

    def __init__(self, directory: Path, places: dict[str, str], *, shards: int) -> None:
        self.directory = directory
        for number in range(IMAGES):
            self.write(f"images/{number}/index.html", f"page {number}\n" * (10 + 37 * number))
        for name in self.includes():
            for part in range(1 + len(name) % 3):
                self.write(f"bundles/{name}/part{part}.yml", f"kind: ConfigMap\nmetadata: {{name: {name}-{part}}}\n")
        # Without a cost of their own jobs are many, and the program is where it runs: no job installs one.
        settings = {"tasks": ["push_bundle", "copy_bundle"], "shards": shards, "startup": 0, "install": "true"}
        engines = {"github": {"python": ""}, "gitlab": {"image": ""}}
        document = {
            "apiVersion": "bundlepipe.dev/v1alpha1",
            "kind": "Pipeline",
            "defaults": {"push": "${REGISTRY}/{name}:1"},
            "images": {f"image{number}": {"files": [f"images/{number}"]} for number in range(IMAGES)},
            "bundles": {
                name: {"files": [f"bundles/{name}"], "lock": {"include": includes}}
                for name, includes in self.includes().items()
            },
            "copies": {
                name: {"from": {"bundle": name}, "to": f"${{SITE}}/{name}:1"} for name in self._named("top", TOPS)
            },
            "ci": {**settings, **engines, "variables": places},
        }
        # JSON is YAML.
        self.write("bundlepipe.yml", json.dumps(document, indent=1))
        self.write(".gitignore", ".bundlepipe/\n.imgpkg/\n.gitlab-ci-local/\n")
        self.commit()

    @classmethod
    def includes(cls) -> dict[str, list[dict[str, str]]]:
        """Return what the lock of each bundle includes: one image, or bundles."""
        leaves, middles = cls._named("leaf", LEAVES), cls._named("mid", MIDDLES)
        return {
            **{name: [{"image": f"image{number % IMAGES}"}] for number, name in enumerate(leaves)},
            **{
                name: [{"bundle": leaves[other % LEAVES]} for other in sorted({number, number * 2, number * 7 + 3})]
                for number, name in enumerate(middles)
            },
            **{
                name: [{"bundle": middles[(number * 3 + step) % MIDDLES]} for step in range(4)]
                for number, name in enumerate(cls._named("top", TOPS))
            },
        }

    @staticmethod
    def _named(kind: str, count: int) -> list[str]:
        return [f"{kind}{number:02}" for number in range(count)]

    def write(self, path: str, text: str) -> None:
        """Write a file, with its directories."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self) -> None:
        """Commit all that is there."""
        commit_all(self.directory)

    def change(self, bundle: str) -> None:
        """Add a file to a bundle, and commit it."""
        self.write(f"bundles/{bundle}/added.yml", "kind: Added\n")
        self.commit()

    def clone(self, directory: Path, revision: str) -> Path:
        """Clone it to a directory that is not there yet, with a revision checked out; return this."""
        git(self.directory, "clone", "--quiet", str(self.directory), str(directory))
        git(directory, "checkout", "--quiet", "--detach", revision)
        return directory


class TwoRegistries:
    """The registries that a monorepo is pushed and copied to, behind proxies that count the requests."""

    def __init__(self, registries: tuple[Registry, Registry], proxies: tuple[Proxy, Proxy]) -> None:
        self.proxies = proxies
        self.places = {"REGISTRY": f"{proxies[0].host}/{_PUSHED_TO}", "SITE": f"{proxies[1].host}/{_COPIED_TO}"}
        self._registries = registries

    def empty(self) -> None:
        """Begin anew, with nothing in the registries and no requests; they keep their names."""
        for registry in self._registries:
            registry.stop()
            content = registry.directory / "content"
            content.rename(content.with_name(f"content-{len(list(registry.directory.iterdir()))}"))
            registry.start()
        self.forget()

    def forget(self) -> None:
        """Forget the requests that came in so far, and the faults."""
        for proxy in self.proxies:
            proxy.forget()
            proxy.heal()

    @property
    def requests(self) -> list[str]:
        """The requests that came in."""
        return [line for proxy in self.proxies for line in proxy.summary()]

    def put_manifests(self) -> Counter[str]:
        """Return how often each manifest was written with success, by its path: `m/leaf00/manifests/1`."""
        return Counter(
            seen.path.removeprefix("/v2/")
            for proxy in self.proxies
            for seen in proxy.requests
            if seen.method == "PUT" and "/manifests/" in seen.path and seen.status == 201
        )

    def content(self) -> dict[str, str]:
        """Return the digest of each tag of both registries, by repository and tag: `m/leaf00:1`."""
        found: dict[str, str] = {}
        for registry in self._registries:
            base = f"http://{registry.host}/v2"
            for name in _json(f"{base}/_catalog?n=1000")["repositories"]:
                for tag in _json(f"{base}/{name}/tags/list")["tags"] or []:
                    url = f"{base}/{name}/manifests/{tag}"
                    answer = urllib3.request("HEAD", url, headers={"Accept": _MANIFESTS})
                    found[f"{name}:{tag}"] = answer.headers["Docker-Content-Digest"]
        return found

    def one_run(self, clone: Path, command: Command) -> dict[str, str]:
        """Let one run of doit do all in a clone; return the content of the registries then."""
        tasks = ("push_bundle", "copy_bundle")
        done = command("bundlepipe", "doit", *tasks, cwd=clone)
        assert done.status == 0, done
        return self.content()


@contextmanager
def two_registries(directory: Path) -> Iterator[TwoRegistries]:
    """Start two registries whose content is below a directory."""
    with ExitStack() as opened:
        registries, proxies = [], []
        for name in ("pushed", "copied"):
            (directory / name).mkdir()
            registries.append(Registry(directory / name))
            opened.callback(registries[-1].stop)
            proxies.append(Proxy(registries[-1].host))
            opened.callback(proxies[-1].close)
        yield TwoRegistries((registries[0], registries[1]), (proxies[0], proxies[1]))


def _json(url: str) -> Any:
    answer = urllib3.request("GET", url)
    # A repository may have nothing left but its name.
    return answer.json() if answer.status == 200 else {"tags": None}
