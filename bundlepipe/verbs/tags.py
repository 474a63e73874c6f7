"""tags: list the tags of a repository, and resolve a tag to its digest."""

from __future__ import annotations

import re

from msgspec import Struct

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.errors import NotFound, StoreError, Unreachable
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores

# With `--repo-based-tags` imgpkg puts the origin's path, cut to 49 characters, before the digest.
_INTERNAL = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,48}-)?sha256-[0-9a-f]{64}(?:\.image-locations|\.inputs)?\.imgpkg"
)


class Tag(Struct, frozen=True):
    """A tag, and its digest if requested."""

    name: str
    digest: Digest | None = None


def list_tags(repository: Repository, stores: Stores, *, digests: bool = False, internal: bool = False) -> list[Tag]:
    """Return the tags of a repository in the order of its store.

    Internal tags of copies and pushes are included only with `internal`; `digests` costs one
    request per tag. Raises NotFound if there is no such repository, StoreError.
    """
    store = stores.repository(repository)
    names = [name for name in store.list_tags() if internal or not is_internal(name)]
    if not digests:
        return [Tag(name) for name in names]
    return [Tag(name, digest) for name, digest in zip(names, in_parallel(store.resolve, names), strict=True)]


def is_internal(tag: str) -> bool:
    """Return whether a tag is an internal one of imgpkg and bundlepipe, which protects or locates an image."""
    return _INTERNAL.fullmatch(tag) is not None


def resolve_tag(reference: Reference, stores: Stores) -> Reference:
    """Return the reference with the digest that its tag (`latest` if it has none) names now.

    A digest stays, if it exists. Raises NotFound if it does not, StoreError.
    """
    store = stores.repository(reference.repository)
    try:
        if reference.digest is None:
            return reference.with_digest(store.resolve(reference.identifier))
        if not store.has_manifest(reference.digest):
            raise NotFound(f"{reference.with_digest(reference.digest)}: not found: {store.name} has no such manifest")
        return reference.with_digest(reference.digest)
    except Unreachable:
        raise
    except StoreError as error:
        # The response to a HEAD request gives no reason; imgpkg sends another request, and reports
        # that.
        try:
            return reference.with_digest(store.read_manifest(reference.identifier).digest)
        except StoreError as reason:
            error.drop_in = reason.drop_in
            raise error from reason
