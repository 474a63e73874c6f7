"""Options for registries, and the stores and credentials that they select.

Names, defaults and variables are imgpkg's (`imgpkg push --help`); kbld has some of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from bundlepipe.cli.parsing.command import PATH, Option, Run, Switch, comma_separated
from bundlepipe.cli.parsing.go_values import Duration
from bundlepipe.cli.tool import BUNDLEPIPE, IMGPKG, KBLD, Tool
from bundlepipe.errors import InputError
from bundlepipe.filesystem.files import read_file

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.stores.keychains.credentials import Keychain
    from bundlepipe.stores.keychains.flags import RegistryFlags
    from bundlepipe.stores.opening import Stores
    from bundlepipe.stores.settings import NetworkSettings, RegistrySettings

_SECTION = "Registries"
_PEM_CERTIFICATE = b"CERTIFICATE-----"
_ACCOUNT = ("username", "password", "token")


def _tls_options() -> list[Option]:
    return [
        Option(
            ["--registry-ca-cert-path"],
            _SECTION,
            multiple=True,
            type=PATH,
            metavar="FILE",
            help="Also trust the authorities in this PEM file (repeatable)",
        ),
        Switch(["--registry-verify-certs"], section=_SECTION, default=True, help="Do not check certificates"),
        Switch(["--registry-insecure"], section=_SECTION, help="Allow plain HTTP for registries"),
    ]


def _account_options() -> list[Option]:
    return [
        Option(["--registry-username"], _SECTION, metavar="NAME", help="User name ($IMGPKG_USERNAME)"),
        Option(["--registry-password"], _SECTION, metavar="TEXT", help="Password ($IMGPKG_PASSWORD)"),
        Option(["--registry-token"], _SECTION, metavar="TEXT", help="Token to send unchanged ($IMGPKG_TOKEN)"),
        Switch(["--registry-anon"], section=_SECTION, default=None, help="Send no credentials ($IMGPKG_ANON)"),
        Option(
            ["--registry-response-header-timeout"],
            _SECTION,
            type=Duration(),
            default="30s",
            metavar="TIME",
            help="Time limit for the head of a response, 0 for none (30s)",
        ),
        Option(
            ["--registry-retry-count"],
            _SECTION,
            type=click.IntRange(min=0),
            default=5,
            metavar="N",
            help="Send a request up to N times (5)",
        ),
    ]


class Access(Struct, frozen=True, dict=True):
    """The registry options of a command: `values` by name."""

    values: Mapping[str, Any]

    def stores(
        self,
        run: Run,
        emit: Emit,
        *,
        concurrency: int | None = None,
        registries: Mapping[str, RegistrySettings] | None = None,
    ) -> Stores:
        """Return the stores for these options; StoreError for contradictory options and variables.

        `concurrency` is the number of blobs to transfer at once, `registries` has settings of hosts.
        """
        from bundlepipe.stores.opening import CONCURRENT_TRANSFERS, Stores

        return Stores(
            registries,
            network=self.network,
            concurrency=concurrency or CONCURRENT_TRANSFERS,
            keychain=self.keychain(run.tool),
            trace=run.trace,
            emit=emit,
        )

    @cached_property
    def network(self) -> NetworkSettings:
        """The settings for all servers; InputError for a file without certificates."""
        from bundlepipe.stores.settings import DEFAULT_NETWORK, NetworkSettings

        authorities = tuple(comma_separated(self.values["registry_ca_cert_path"]))
        for path in authorities:
            # Also if no server uses TLS: a user who names a file expects it to be used.
            _check_authorities(path, IMGPKG if "registry_username" in self.values else KBLD)
        return NetworkSettings(
            authorities=authorities,
            verify_certificates=self.values["registry_verify_certs"],
            insecure=self.values["registry_insecure"],
            response_header_timeout=self.values.get(
                "registry_response_header_timeout", DEFAULT_NETWORK.response_header_timeout
            ),
            # imgpkg also treats 0 as a single try.
            tries=max(1, self.values.get("registry_retry_count", DEFAULT_NETWORK.tries)),
        )

    def keychain(self, tool: Tool) -> Keychain:
        """Return the source of credentials; StoreError for contradictory options and variables."""
        from bundlepipe.stores.keychains.chain import find_keychain

        return find_keychain(os.environ, tool.name, self._flags(tool), self.network)

    def _flags(self, tool: Tool) -> RegistryFlags:
        """Return the credentials in flags, each defaulting to its first variable."""
        from bundlepipe.stores.keychains.flags import RegistryFlags, truth

        found: dict[str, str] = {}
        sources: list[str] = []
        for name in _ACCOUNT:
            flag, variable = self.values.get(f"registry_{name}"), _variable(name, tool)
            if flag or variable:
                found[name] = str(flag or os.environ[variable])
                sources.append(f"--registry-{name}" if flag else variable)
        anon = self.values.get("registry_anon")
        if anon is None:
            variable = _variable("anon", tool)
            anon = truth(variable, os.environ) if tool is BUNDLEPIPE else os.environ.get(variable) == "true"
        source = " and ".join(sources) or "--registry-anon"
        return RegistryFlags(**found, anon=anon, source=source, takes_half_accounts=tool is not BUNDLEPIPE)


def _check_authorities(path: str, peer: Tool) -> None:
    """Raise InputError, with the other tool's text, unless a file has a certificate."""
    told = "Creating registry HTTP transport: " if peer is IMGPKG else ""
    try:
        content = read_file(path)
    except InputError as error:
        reading = f"{told}Reading CA certificates from '{path}': {error.drop_in}"
        raise InputError(str(error), drop_in=reading) from error
    if _PEM_CERTIFICATE not in content:
        raise InputError(
            f"{path}: holds no PEM certificate, as --registry-ca-cert-path wants",
            drop_in=f"{told}Adding CA certificates from '{path}': failed",
        )


def _variable(name: str, tool: Tool) -> str:
    """Return a tool's first variable for an option that is set; empty if there is none."""
    variables = (f"{prefix}_{name.upper()}" for prefix in tool.prefixes)
    return next((variable for variable in variables if os.environ.get(variable)), "")


def registry_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add imgpkg's options for registries to a command, as one argument, `access`."""
    return _with(function, [*_account_options(), *_tls_options()])


def tls_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add kbld's options for registries, which are fewer, to a command, as one argument, `access`."""
    return _with(function, _tls_options())


def _with(function: Callable[..., Any], options: Sequence[Option]) -> Callable[..., Any]:
    names = [str(option.name) for option in options]

    @wraps(function)
    def call(*arguments: Any, **settings: Any) -> Any:
        access = Access({name: settings.pop(name) for name in names})
        return function(*arguments, access=access, **settings)

    # As click's own decorators do: the last one is listed first.
    parameters: list[click.Parameter] = call.__dict__.setdefault("__click_params__", [])
    parameters.extend(reversed(options))
    return call
