"""200 bundles without local state, the registry up to date: requests per bundle, and the time they take."""

from __future__ import annotations

import shutil

from benchmarks._measure import DOIT, report, run_once, scratch
from benchmarks.noop import BUNDLES, FILES, load_generator
from tests.support.proxy import Proxy
from tests.support.services import Registry


def main() -> None:
    """Print the number of requests."""
    with scratch() as directory:
        load_generator().write_monorepo(directory / "flat", BUNDLES, FILES, flat=True)
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        proxy = Proxy(registry.host)
        try:
            environment = {"REGISTRY": proxy.host}
            run_once([*DOIT], directory / "flat", environment)
            shutil.rmtree(directory / "flat/.bundlepipe")
            proxy.forget()
            elapsed = run_once([*DOIT], directory / "flat", environment)
            requests, uploads = proxy.count(), proxy.count("PUT") + proxy.count("POST")
        finally:
            proxy.close()
            registry.stop()
    measured = f"{requests / BUNDLES:.2f} requests per bundle, {uploads} uploads, {elapsed:.2f} s"
    report("200 bundles, no state, registry up to date", measured, "1 request a bundle")


if __name__ == "__main__":
    main()
