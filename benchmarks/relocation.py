"""A bundle of 60 images of 3 layers, copied within a registry and to a tar: requests, and the time they take.

The reference is skopeo, once for each image, as a script would do it.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from benchmarks._measure import DOIT, in_turn, ratio, report, run_once, scratch
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import put_bundle, put_images
from tests.support.proxy import Proxy
from tests.support.services import Registry, program

IMAGES = 60
ROUNDS = 7
PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
copies:
  registry: {from: "${FROM}/bundle:v1", to: "${FROM}/${TO}"}
  tar: {from: "${FROM}/bundle:v1", to: "tar:${TO}.tar", resume: false}
  import: {from: "tar:0.tar", to: "${FROM}/${TO}"}
"""
DODO = """\
from bundlepipe import DOIT_CONFIG, Pipeline
pipeline = Pipeline.load("bundlepipe.yml")
"""


class _Bench:
    """A registry with the bundle, and a project that copies it."""

    def __init__(self, directory: Path, registry: Registry) -> None:
        self.directory = directory
        self.proxy = Proxy(registry.host)
        self._registry = registry
        self._numbers = itertools.count()
        stores = Stores()
        source = Repository(registry.host, "src/images")
        images = put_images(stores.repository(source, writes=True), IMAGES, own=3)
        self._sources = [source.at(image.digest) for image in images]
        # Named by the registry, so that a copy through the proxy has to be of another one: see `requests`.
        for host in (registry.host, self.proxy.host):
            bundle = Repository(host, f"src/{host.replace(':', '-')}/bundle")
            put_bundle(stores, bundle.tagged("v1"), [Repository(host, source.path).at(i.digest) for i in images])

    def copy(self, task: str, to: str | None = None, *, through: str | None = None) -> float:
        """Run a copy, to a place of its own unless one is given, without what is known of earlier ones."""
        host = through or self._registry.host
        state = self.directory / ".bundlepipe/doit.db"
        state.unlink(missing_ok=True)
        environment = {"FROM": f"{host}/src/{host.replace(':', '-')}", "TO": to or f"v{next(self._numbers)}"}
        return run_once([*DOIT, f"copy_bundle:{task}"], self.directory, environment)

    def requests(self, task: str, to: str) -> int:
        """Return the number of requests that a copy takes."""
        self.proxy.forget()
        self.copy(task, to, through=self.proxy.host)
        return self.proxy.count()

    def skopeo(self) -> float:
        """Copy image by image."""
        to = f"skopeo/v{next(self._numbers)}"
        tls = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        copies = (
            [program("skopeo"), "copy", *tls, f"docker://{image}", f"docker://{self._registry.host}/{to}:{n}"]
            for n, image in enumerate(self._sources)
        )
        return sum(run_once(copy, self.directory) for copy in copies)


def main() -> None:
    """Print requests, seconds and ratios."""
    with scratch() as directory:
        (directory / "registry").mkdir()
        (directory / "dodo.py").write_text(DODO)
        (directory / "bundlepipe.yml").write_text(PIPELINE)
        registry = Registry(directory / "registry")
        bench = _Bench(directory, registry)
        try:
            _report(bench)
        finally:
            bench.proxy.close()
            registry.stop()


def _report(bench: _Bench) -> None:
    first, again = bench.requests("registry", "counted"), bench.requests("registry", "counted")
    bench.copy("registry", "there")
    copies, repeated, by_skopeo = in_turn(
        [lambda: bench.copy("registry"), lambda: bench.copy("registry", "there"), bench.skopeo], ROUNDS
    )
    _row("copy 60 images within a registry", first, copies, by_skopeo, "400 requests, 0.7 s")
    _row("copy them again", again, repeated, by_skopeo, "65 requests, 0.35 s")
    bench.copy("tar", "0")
    to_tar, imports = in_turn([lambda: bench.copy("tar"), lambda: bench.copy("import")], ROUNDS)
    _row("copy them to a tar", bench.requests("tar", "counted"), to_tar, by_skopeo, "none")
    _row("copy the tar into the registry", None, imports, by_skopeo, "none")


def _row(what: str, requests: int | None, seconds: list[float], reference: list[float], budget: str) -> None:
    counted = "" if requests is None else f"{requests} requests, "
    middle = sorted(seconds)[len(seconds) // 2]
    report(what, f"{counted}{middle:.2f} s, {ratio(seconds, reference):.2f} x skopeo", budget)


if __name__ == "__main__":
    main()
