"""Options of `docker build` as the Engine's API takes them.

Source: "docker build (legacy builder)" in Docker's documentation of the command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from bundlepipe.errors import BundlepipeError, quoted
from bundlepipe.oci.builds.request import BuildRequest


def engine_options(request: BuildRequest, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of docker-py's `build` for a request, its raw options included, and these labels.

    Raises BundlepipeError for what the Engine's classic builder cannot do.
    """
    raw = _parse(request.raw_options)
    platform = raw.platform or request.platform
    if platform and "," in platform:
        raise BundlepipeError(f"{quoted(platform)}: an image for several platforms needs docker buildx: install it")
    return {
        "target": raw.target or request.target,
        "platform": platform,
        "pull": raw.pull or request.pull,
        "nocache": raw.no_cache or request.no_cache,
        "buildargs": {**request.args, **dict(map(_pair, raw.build_arg))},
        "labels": {**dict(map(_pair, raw.label)), **labels},
        "cache_from": raw.cache_from,
        "network_mode": raw.network,
        "extra_hosts": dict(map(_host, raw.add_host)) or None,
        "squash": raw.squash or None,
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BundlepipeError(
            f"options of docker build: {message}: without docker buildx the Docker Engine builds, "
            "which takes no other options than " + ", ".join(sorted(self._option_string_actions))
        )


def _parse(options: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="docker build", usage="", add_help=False, allow_abbrev=False)
    for name in ("--build-arg", "--label", "--cache-from", "--add-host"):
        parser.add_argument(name, action="append", default=[])
    for name in ("--target", "--platform", "--network"):
        parser.add_argument(name)
    for name in ("--pull", "--no-cache", "--squash"):
        parser.add_argument(name, action="store_true")
    return parser.parse_args(list(options))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BundlepipeError(f"options of docker build: {quoted(text)}: expected KEY=VALUE")
    return key, value


def _host(text: str) -> tuple[str, str]:
    name, colon, address = text.partition(":")
    if not colon or not name:
        raise BundlepipeError(f"options of docker build: {quoted(text)}: expected HOST:ADDRESS")
    return name, address
