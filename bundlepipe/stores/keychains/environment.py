"""Credentials in environment variables, by imgpkg's and kbld's rules.

Variables with the same suffix belong together: `IMGPKG_REGISTRY_HOSTNAME_0` is the registry of
`IMGPKG_REGISTRY_USERNAME_0` and `IMGPKG_REGISTRY_PASSWORD_0`; one more set has no suffix. An empty
variable counts as absent. Sources: imgpkg's and kbld's documents "Authentication", and the
behaviour of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import permutations

from msgspec import Struct

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import DEFAULT_REGISTRY, Repository
from bundlepipe.stores.keychains.credentials import Credentials, host_names

_HOSTNAME = "HOSTNAME"
_SECRETS = ("USERNAME", "PASSWORD", "IDENTITY_TOKEN", "REGISTRY_TOKEN")
# This variable configures another keychain.
AZURE_CONFIG = "AZURE_CR_CONFIG"

_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9_*.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_API_VERSIONS = ("v1", "v2")


class Rules(Struct, frozen=True):
    """A tool's variables: `secrets` besides the host name; variables in `others` are not for this keychain.

    If `exact`, a host name is compared as a whole: it has no scheme, path or glob.
    """

    prefix: str
    secrets: tuple[str, ...] = _SECRETS
    others: tuple[str, ...] = (AZURE_CONFIG,)
    exact: bool = False

    def name(self, kind: str, ending: str = "") -> str:
        """Return the name of a variable."""
        return f"{self.prefix}{kind}{ending}"


BUNDLEPIPE = Rules("BUNDLEPIPE_REGISTRY_")
IMGPKG = Rules("IMGPKG_REGISTRY_")
KBLD = Rules("KBLD_REGISTRY_", secrets=_SECRETS[:2], others=(), exact=True)


class EnvironmentKeychain:
    """The credentials in the variables of one tool.

    Raises StoreError, naming the variables and no value, for an unknown variable, and for a set
    that lacks its host name or credentials.
    """

    def __init__(self, environ: Mapping[str, str], rules: Rules) -> None:
        self._entries = sorted(_entries(environ, rules), key=lambda entry: entry.place.rank)

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials whose host name matches the repository most specifically."""
        return next((entry.credentials for entry in self._entries if entry.place.has(repository)), None)

    def searched(self, repository: Repository) -> str:
        """Return the keychain's name in messages, the same for all tools."""
        return "the environment"


class _Place(Struct, frozen=True, dict=True):
    """The scope of credentials: a host, whose labels may have globs, and the beginning of a path."""

    host: str
    path: tuple[str, ...] = ()
    has_globs: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.host).replace(r"\*", "[^.:]*" if self.has_globs else r"\*"))

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Sort the most specific scope first: without globs, then with a longer path, then with more letters."""
        return self.has_globs, -len(self.path), -len(self.host.replace("*", ""))

    def has(self, repository: Repository) -> bool:
        """Return whether a repository is in this scope."""
        # Docker Hub's other names are fixed, and a glob is not meant to match them.
        names = (repository.registry.lower(),) if self.has_globs else host_names(repository.registry)
        if not any(map(self._pattern.fullmatch, names)):
            return False
        return self.path == tuple(repository.path.split("/"))[: len(self.path)]


class _Entry(Struct, frozen=True):
    place: _Place
    credentials: Credentials


def _entries(environ: Mapping[str, str], rules: Rules) -> Iterable[_Entry]:
    sets: dict[str, dict[str, str]] = {}
    for name in sorted(environ):
        if name.startswith(rules.prefix) and name.removeprefix(rules.prefix) not in rules.others:
            kind, ending = _split(name, rules)
            if environ[name]:
                sets.setdefault(ending, {})[kind] = environ[name]
    for ending, given in sets.items():
        _check_complete(given, ending, rules)
        name = rules.name(_HOSTNAME, ending)
        place = _parse_exact(name, given) if rules.exact else _parse_place(name, given)
        yield _Entry(place, _credentials(given, f"the environment ({name})"))


def _split(name: str, rules: Rules) -> tuple[str, str]:
    """Return the kind of a variable and its suffix, which is empty or begins with `_`."""
    text = name.removeprefix(rules.prefix)
    for kind in (_HOSTNAME, *rules.secrets):
        ending = text.removeprefix(kind)
        if text.startswith(kind) and ending[:1] in ("", "_"):
            return kind, ending
    known = ", ".join(rules.name(kind) for kind in (_HOSTNAME, *rules.secrets, *rules.others))
    raise StoreError(
        f"unknown variable {name} in the environment: known are {known}, and those for further registries, "
        f"such as {rules.name(_HOSTNAME, '_0')}"
    )


def _check_complete(given: Mapping[str, str], ending: str, rules: Rules) -> None:
    has_token = bool(given.keys() & {"IDENTITY_TOKEN", "REGISTRY_TOKEN"})
    if _HOSTNAME not in given:
        names = " and ".join(rules.name(kind, ending) for kind in given)
        raise StoreError(f"{names} in the environment: {rules.name(_HOSTNAME, ending)} has to say for which registry")
    if len(given) == 1:
        pair = " and ".join(rules.name(kind, ending) for kind in rules.secrets[:2])
        tokens = "".join(f", or {rules.name(kind, ending)}" for kind in rules.secrets[2:])
        raise StoreError(f"{rules.name(_HOSTNAME, ending)} in the environment has no credentials: set {pair}{tokens}")
    for kind, other in permutations(_SECRETS[:2]):
        if kind in given and other not in given and not has_token:
            raise StoreError(f"{rules.name(kind, ending)} in the environment needs {rules.name(other, ending)}")


def _credentials(given: Mapping[str, str], source: str) -> Credentials:
    username, password, identity_token, registry_token = (given.get(kind, "") for kind in _SECRETS)
    return Credentials(username, password, identity_token, registry_token, source)


def _parse_exact(name: str, given: Mapping[str, str]) -> _Place:
    host = given[_HOSTNAME].strip()
    if "://" in host:
        raise StoreError(f"{name} in the environment has a scheme: expected HOST or HOST:PORT")
    return _Place(host.lower())


def _parse_place(name: str, given: Mapping[str, str]) -> _Place:
    host, _, path = _SCHEME.sub("", given[_HOSTNAME].strip(), count=1).partition("/")
    # The value may have a password before the host, and is not shown.
    if not _HOST.fullmatch(host):
        raise StoreError(f"{name} in the environment names no registry: expected HOST[:PORT][/PATH]")
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] in _API_VERSIONS:
        parts = parts[1:]
    host = DEFAULT_REGISTRY if host.lower() in host_names(DEFAULT_REGISTRY) else host.lower()
    return _Place(host, tuple(parts), "*" in host)
