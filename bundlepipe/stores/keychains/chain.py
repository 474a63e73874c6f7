"""The chain of keychains that bundlepipe, imgpkg or kbld searches, in its order.

As imgpkg or kbld, the order is that tool's; bundlepipe itself accepts what is meant for either.
Libraries of clouds are imported when a registry of a cloud asks for credentials and its keychain is
active.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from bundlepipe.errors import StoreError
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.keychains.credentials import Credentials, Keychain
from bundlepipe.stores.keychains.docker_config import DockerConfig
from bundlepipe.stores.keychains.environment import AZURE_CONFIG, BUNDLEPIPE, IMGPKG, KBLD, EnvironmentKeychain, Rules
from bundlepipe.stores.keychains.flags import FlagsKeychain, RegistryFlags, truth
from bundlepipe.stores.settings import DEFAULT_NETWORK, NetworkSettings

if TYPE_CHECKING:
    from bundlepipe.stores.keychains.cloud import CloudKeychain, Service

Tool = Literal["bundlepipe", "imgpkg", "kbld"]

_RULES: dict[Tool, tuple[Rules, ...]] = {
    "bundlepipe": (BUNDLEPIPE, IMGPKG, KBLD),
    "imgpkg": (IMGPKG,),
    "kbld": (KBLD,),
}
_ACTIVE = "IMGPKG_ACTIVE_KEYCHAINS"
_ACTIVE_VARIABLES: dict[Tool, tuple[str, ...]] = {
    "bundlepipe": ("BUNDLEPIPE_ACTIVE_KEYCHAINS", _ACTIVE),
    "imgpkg": (_ACTIVE,),
    "kbld": (),
}
# imgpkg's older switch for all of them.
_ACTIVE_ALL = "IMGPKG_ENABLE_IAAS_AUTH"
_CLOUDS = ("aks", "ecr", "gke", "github")


class Chain:
    """Several keychains; the first with credentials is used."""

    def __init__(self, keychains: Sequence[Keychain]) -> None:
        self._keychains = keychains

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials of the first keychain that has any."""
        return next(filter(None, (keychain.find(repository, refused) for keychain in self._keychains)), None)

    def searched(self, repository: Repository) -> str:
        """Return where each keychain looks; duplicate names once."""
        places = filter(None, (keychain.searched(repository) for keychain in self._keychains))
        return ", ".join(dict.fromkeys(places))


def find_keychain(
    environ: Mapping[str, str],
    tool: Tool,
    flags: RegistryFlags | None = None,
    network: NetworkSettings = DEFAULT_NETWORK,
) -> Keychain:
    """Return the keychain of a tool, given the environment and the flags of its command line.

    imgpkg: its variables, active keychains of clouds, flags, Docker's configuration.
    kbld, which has no such flags: its variables, Docker's configuration. bundlepipe: its own
    variables, those of imgpkg and of kbld, active keychains of clouds (named by its own or imgpkg's
    variable), flags, Docker's configuration. Flags, if given, are the last source. `network` has the
    settings for requests to cloud registries that issue credentials themselves.

    Raises StoreError immediately for invalid variables and flags, and for unknown keychains.
    """
    flags = flags if flags and tool != "kbld" else RegistryFlags()
    return Chain(
        [
            *(EnvironmentKeychain(environ, rules) for rules in _RULES[tool]),
            *_active(environ, tool, network),
            FlagsKeychain(flags) if flags.are_given else DockerConfig(environ),
        ]
    )


def _active(environ: Mapping[str, str], tool: Tool, network: NetworkSettings) -> Iterator[CloudKeychain]:
    """Yield the keychains of clouds that are active, in the order in which they are named."""
    variables = _ACTIVE_VARIABLES[tool]
    names = [name.strip() for variable in variables for name in environ.get(variable, "").split(",")]
    if _ACTIVE in variables and _are_all_active(environ, tool):
        names += _CLOUDS
    for name in dict.fromkeys(filter(None, names)):
        from bundlepipe.stores.keychains.cloud import CloudKeychain

        yield CloudKeychain(_service(name, environ, tool, network))


def _are_all_active(environ: Mapping[str, str], tool: Tool) -> bool:
    """Return whether all clouds are active; imgpkg accepts only this word for true."""
    return environ.get(_ACTIVE_ALL, "").lower() == "true" if tool == "imgpkg" else truth(_ACTIVE_ALL, environ)


def _service(name: str, environ: Mapping[str, str], tool: Tool, network: NetworkSettings) -> Service:
    match name:
        case "aks":
            from bundlepipe.stores.keychains.aks import Azure

            variables = [rules.name(AZURE_CONFIG) for rules in _RULES[tool] if AZURE_CONFIG in rules.others]
            return Azure(environ, variables, network)
        case "ecr":
            from bundlepipe.stores.keychains.ecr import Amazon

            return Amazon()
        case "gke":
            from bundlepipe.stores.keychains.gke import Google

            return Google()
        case "github":
            from bundlepipe.stores.keychains.github import GitHub

            return GitHub(environ)
    raise StoreError(f"Unable to load keychain for {name}, available keychains [{', '.join(_CLOUDS)}]")
