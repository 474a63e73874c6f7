"""The options of every command that talks to a registry, and the homes that they lead to.

Names, defaults and variables are imgpkg's (`imgpkg push --help`); kbld has some of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.command import Option, Run, Switch, comma_separated
from bundlepipe.cli.tool import Tool
from bundlepipe.errors import BundlepipeError

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.stores.credentials import Keychain
    from bundlepipe.stores.homes import Homes
    from bundlepipe.stores.keychains.flags import RegistryFlags
    from bundlepipe.stores.settings import NetworkSettings

_SECTION = "Registries"
_ACCOUNT = ("username", "password", "token")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


class Duration(click.ParamType[float]):
    """A length of time as Go writes it (`30s`, `1m30s`), in seconds."""

    name = "duration"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Return the seconds; a usage error for anything else."""
        text = str(value)
        if text == "0":
            return 0.0
        if not text or _DURATION_PART.sub("", text):
            self.fail(f"'{text}' is no length of time: expected one such as 30s or 1m30s", parameter, context)
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def _tls_options() -> list[Option]:
    return [
        Option(
            ["--registry-ca-cert-path"],
            _SECTION,
            multiple=True,
            type=click.Path(),
            metavar="FILE",
            help="Trust the authorities in this PEM file, too (may be repeated)",
        ),
        Switch(["--registry-verify-certs"], section=_SECTION, default=True, help="Do not check certificates"),
        Switch(["--registry-insecure"], section=_SECTION, help="Let registries be plain HTTP"),
    ]


def _account_options() -> list[Option]:
    return [
        Option(["--registry-username"], _SECTION, metavar="NAME", help="User name ($IMGPKG_USERNAME)"),
        Option(["--registry-password"], _SECTION, metavar="TEXT", help="Password ($IMGPKG_PASSWORD)"),
        Option(["--registry-token"], _SECTION, metavar="TEXT", help="Token to be sent as it is ($IMGPKG_TOKEN)"),
        Switch(["--registry-anon"], section=_SECTION, default=None, help="Show no credentials ($IMGPKG_ANON)"),
        Option(
            ["--registry-response-header-timeout"],
            _SECTION,
            type=Duration(),
            default="30s",
            metavar="TIME",
            help="Wait so long for the head of an answer, 0: for ever (30s)",
        ),
        Option(
            ["--registry-retry-count"],
            _SECTION,
            type=click.IntRange(min=0),
            default=5,
            metavar="N",
            help="Try requests so many times (5)",
        ),
    ]


@dataclass(frozen=True)
class Access:
    """How registries are to be spoken to, as the options say: `values` has their values, by their names."""

    values: Mapping[str, Any]

    def homes(self, run: Run, emit: Emit, *, concurrency: int | None = None) -> Homes:
        """Return the homes for it; StoreError for options and variables that contradict themselves.

        `concurrency` is how many blobs are transferred at once.
        """
        from bundlepipe.stores.homes import CONCURRENT_TRANSFERS, Homes

        return Homes(
            network=self.network,
            concurrency=concurrency or CONCURRENT_TRANSFERS,
            keychain=self._keychain(run.tool),
            trace=run.trace,
            emit=emit,
        )

    @property
    def network(self) -> NetworkSettings:
        """What holds for every registry and every other server."""
        from bundlepipe.stores.settings import DEFAULT_NETWORK, NetworkSettings

        return NetworkSettings(
            authorities=tuple(comma_separated(self.values["registry_ca_cert_path"])),
            verify_certificates=self.values["registry_verify_certs"],
            insecure=self.values["registry_insecure"],
            response_header_timeout=self.values.get(
                "registry_response_header_timeout", DEFAULT_NETWORK.response_header_timeout
            ),
            # imgpkg takes 0 for a single try, too.
            tries=max(1, self.values.get("registry_retry_count", DEFAULT_NETWORK.tries)),
        )

    def _keychain(self, tool: Tool) -> Keychain:
        from bundlepipe.stores.keychains.chain import find_keychain

        return find_keychain(os.environ, tool.name, self._flags(tool), self.network)

    def _flags(self, tool: Tool) -> RegistryFlags:
        """Return the credentials that flags give, or in the place of each its variable."""
        from bundlepipe.stores.keychains.flags import RegistryFlags

        found: dict[str, str] = {}
        sources: list[str] = []
        for name in _ACCOUNT:
            value, source = self._account_value(name, tool)
            if value:
                found[name] = value
                sources.append(source)
        anon = self.values.get("registry_anon")
        if anon is None:
            anon = _truth("ANON", tool)
        source = " and ".join(sources) or ("--registry-anon" if anon else "")
        return RegistryFlags(**found, anon=bool(anon), source=source)

    def _account_value(self, name: str, tool: Tool) -> tuple[str, str]:
        """Return what a flag or the first variable for it says, and which of them it was."""
        flag = f"--registry-{name}"
        if value := self.values.get(f"registry_{name}"):
            return str(value), flag
        variable, value = _variable(name.upper(), tool)
        return value, variable


def _variable(name: str, tool: Tool) -> tuple[str, str]:
    """Return the first variable of a tool that is set, and its value."""
    variables = (f"{prefix}_{name}" for prefix in tool.prefixes)
    return next(((variable, os.environ[variable]) for variable in variables if os.environ.get(variable)), ("", ""))


def _truth(name: str, tool: Tool) -> bool:
    from bundlepipe.stores.keychains.flags import GO_TRUTHS

    variable, value = _variable(name, tool)
    if value and value not in GO_TRUTHS:
        raise BundlepipeError(f"{variable} in the environment is neither true nor false")
    return GO_TRUTHS[value] if value else False


def registry_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command imgpkg's options for registries; they arrive as one argument, `access`."""
    return _with(function, [*_account_options(), *_tls_options()])


def tls_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command kbld's options for registries, which are fewer; they arrive as one argument, `access`."""
    return _with(function, _tls_options())


def _with(function: Callable[..., Any], options: Sequence[Option]) -> Callable[..., Any]:
    names = [str(option.name) for option in options]

    @wraps(function)
    def call(*arguments: Any, **settings: Any) -> Any:
        access = Access({name: settings.pop(name) for name in names})
        return function(*arguments, access=access, **settings)

    # As click's own decorators keep them: the last is listed first.
    parameters: list[click.Parameter] = call.__dict__.setdefault("__click_params__", [])
    parameters.extend(reversed(options))
    return call
