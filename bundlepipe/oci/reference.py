"""Image references: `[registry/]repository[:tag][@digest]`.

The grammar is that of the `reference` package of the distribution project; names are
spelled out as go-containerregistry (so imgpkg and kbld) does: `nginx` is
`index.docker.io/library/nginx`, and `docker.io` is an alias of `index.docker.io`.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.errors import InvalidDigest, InvalidReference, quoted
from bundlepipe.oci.digest import Digest

DEFAULT_REGISTRY = "index.docker.io"
DEFAULT_TAG = "latest"
DOCKER_HUB_ALIASES = frozenset({"docker.io", "index.docker.io"})

_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")
_LONGEST_NAME = 255


class Repository(Struct, frozen=True, order=True):
    """A repository of a registry: `index.docker.io` and `library/nginx`."""

    registry: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Parse a repository; InvalidReference if `text` is invalid or has a tag or digest."""
        reference = Reference.parse(text)
        if reference.tag or reference.digest:
            raise InvalidReference(f"{quoted(text)}: expected a repository without tag or digest")
        return reference.repository

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"

    def tagged(self, tag: str) -> Reference:
        """Return the reference to `tag` in this repository."""
        return Reference(self, tag=tag)

    def at(self, digest: Digest) -> Reference:
        """Return the reference to the manifest `digest` in this repository."""
        return Reference(self, digest=digest)


class Reference(Struct, frozen=True):
    """A reference with every default filled in, except the tag, which may be absent."""

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference.

        Raises InvalidReference, with the offending part, for an invalid one. An absent tag stays
        absent: `identifier` supplies `latest`.
        """
        if not text:
            raise InvalidReference("an image reference is empty")
        if text != text.strip():
            raise InvalidReference(f"{quoted(text)}: an image reference has no surrounding white space")
        name, at, digest_text = text.partition("@")
        digest = None
        if at and "/" in digest_text:
            # The part before the host may be a password, so it is not shown.
            raise InvalidReference("an image reference has no user and password in it: remove what is before '@'")
        if at:
            try:
                digest = Digest.parse(digest_text)
            except InvalidDigest as error:
                raise InvalidReference(f"{quoted(text)} is not an image reference: {error}") from None
        registry, path = _split_registry(name)
        tag: str | None = None
        if ":" in path:
            path, _, tag = path.rpartition(":")
            check_tag(tag, quoted(text))
        return cls(_repository(text, registry, path), tag, digest)

    @property
    def identifier(self) -> str:
        """The identifier to request from a registry: the digest if there is one, else the tag, else `latest`."""
        return self.digest or self.tag or DEFAULT_TAG

    def with_digest(self, digest: Digest) -> Reference:
        """Return the same reference with `digest` and without tag."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def check_tag(tag: str, what: str) -> None:
    """Raise InvalidReference, with a message that begins with `what`, if a text is not a tag (distribution, "Pull")."""
    if not _TAG.fullmatch(tag):
        raise InvalidReference(
            f"{what}: {quoted(tag)} is not a tag: expected up to 128 letters, digits, '_', '.', '-', "
            "not starting with '.' or '-'"
        )


def names_digest(text: str) -> bool:
    """Return whether a text is a reference with a digest."""
    try:
        return Reference.parse(text).digest is not None
    except InvalidReference:
        return False


def is_registry_host(text: str) -> bool:
    """Return whether a text is the HOST or HOST:PORT of a registry."""
    return bool(_REGISTRY.fullmatch(text)) and _has_possible_port(text)


def _split_registry(name: str) -> tuple[str | None, str]:
    """Split off the first component where it can only be a host: docker's `splitDockerDomain`."""
    first, slash, rest = name.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    return (first, rest) if slash and is_host else (None, name)


def _repository(text: str, registry: str | None, path: str) -> Repository:
    if registry is None or registry in DOCKER_HUB_ALIASES:
        registry = DEFAULT_REGISTRY
        if "/" not in path:
            if _IMAGE_ID.fullmatch(path):
                raise InvalidReference(
                    f"{quoted(text)} is an image ID, not an image reference: expected a repository name"
                )
            path = f"library/{path}"
    if not is_registry_host(registry):
        raise InvalidReference(f"{quoted(text)}: {quoted(registry)} is not a registry host: expected HOST or HOST:PORT")
    for component in path.split("/"):
        if not _PATH_COMPONENT.fullmatch(component):
            raise InvalidReference(f"{quoted(text)}: {_component_fault(component)}")
    if len(registry) + 1 + len(path) > _LONGEST_NAME:
        raise InvalidReference(f"{quoted(text)}: a repository name has at most {_LONGEST_NAME} characters")
    return Repository(registry, path)


def _has_possible_port(registry: str) -> bool:
    port = registry.rpartition("]")[2].rpartition(":")[2]
    return ":" not in registry.rpartition("]")[2] or 0 < int(port) < 65536


def _component_fault(component: str) -> str:
    if not component:
        return "a part of the repository name is empty"
    if component != component.lower():
        return f"repository names are lower case, but {quoted(component)} is not"
    return (
        f"{quoted(component)} cannot be part of a repository name: expected lower-case letters and digits, "
        "separated by '.', '_', '__' or dashes"
    )
