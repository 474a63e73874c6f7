"""A store in a registry: one repository, by the OCI distribution protocol.

Protocol: OCI distribution specification 1.1, which is compatible with Docker's registry API v2.
`host` sends the requests; this module defines which ones a store's methods send, and the
meaning of the responses.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing
from urllib.parse import quote, urldefrag, urlencode

from bundlepipe.errors import (
    AccessDenied,
    IntegrityError,
    InvalidContent,
    InvalidDigest,
    InvalidReference,
    StoreError,
)
from bundlepipe.limits import LARGEST_MANIFEST, in_words
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.go_names import tag_problem
from bundlepipe.oci.manifest import ACCEPTED_TYPES, OCI_INDEX, Descriptor, Manifest, merged_index
from bundlepipe.oci.reference import Repository, check_tag
from bundlepipe.stores.http.answers import Answer, is_http_url
from bundlepipe.stores.http.transport import resolve_location
from bundlepipe.stores.protocol import (
    OpenContent,
    Source,
    find_manifest,
    put_tagged_referrers,
    referrers_tag,
)
from bundlepipe.stores.registry.auth.token_cache import Access
from bundlepipe.stores.registry.auth.token_protocol import Scope
from bundlepipe.stores.registry.download import CHUNK, Download
from bundlepipe.stores.registry.host import Call, RegistryHost
from bundlepipe.stores.registry.pages import next_page, tags_of
from bundlepipe.stores.verification import verified, verify_manifest

__all__ = ["RegistryHost", "RegistryStore"]

_ACCEPT = {"Accept": ", ".join(ACCEPTED_TYPES)}
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
# Content types of servers for manifests of unknown type; the manifest's own `mediaType` is used
# then.
_GENERIC_TYPES = ("application/json", "application/octet-stream", "text/plain")
_BLOBS_LATE = frozenset({"MANIFEST_BLOB_UNKNOWN"})
# A new session may succeed: registries forget sessions when they restart.
_SESSION_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_TAGS_PER_PAGE = 1000
# Statuses of registries without support for referrers.
_NO_SUCH_API = (400, 404, 405, 501)
# Some registries ignore the page size.
_LARGEST_PAGE = 16 * 1024 * 1024


class RegistryStore:
    """A repository of a registry; may be used by several threads at once.

    `writes` says that there will be pushes: the token for the first request then allows them
    already. Pushing works without it, at the cost of one more token.
    """

    is_closed = False
    is_complete = False

    def __init__(self, host: RegistryHost, repository: Repository, *, writes: bool) -> None:
        self._host = host
        self._repository = repository
        self._root = f"/v2/{repository.path}"
        reading = frozenset({Scope.of(repository, "pull")})
        self._all_scopes = frozenset({Scope.of(repository, "pull", "push")})
        self._reading = Access(repository, reading, self._all_scopes if writes else reading)
        self._writing = Access(repository, self._all_scopes, self._all_scopes)

    def __repr__(self) -> str:
        return f"RegistryStore({self.name!r})"

    @property
    def name(self) -> str:
        """`registry/repository`."""
        return str(self._repository)

    @property
    def repository(self) -> Repository:
        """The repository of this store."""
        return self._repository

    @property
    def is_local(self) -> bool:
        """False."""
        return False

    @property
    def keeps_untagged(self) -> bool:
        """False: a registry may collect untagged manifests."""
        return False

    def resolve(self, tag: str) -> Digest:
        """Return the digest that `tag` names now; NotFound if there is none.

        A HEAD request, which registries do not count as a pull; a GET if the response has no
        digest.
        """
        answer = self._host.ask(self._manifest_call("HEAD", tag), 200, 405)
        return _content_digest(answer.headers) or self.read_manifest(tag).digest

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest of a tag or digest; NotFound if there is none.

        Raises IntegrityError if the bytes do not match the digest (the requested one, or the one in
        the response), InvalidContent for a manifest that is larger than 4 MiB or of an unsupported
        type.
        """
        digest = Digest.parse(identifier) if ":" in identifier else None
        what = f"{self.name}@{digest}" if digest else f"{self.name}:{identifier}"
        answer = self._host.ask(self._manifest_call("GET", identifier), 200, limit=LARGEST_MANIFEST + 1)
        if len(answer.body) > LARGEST_MANIFEST:
            raise InvalidContent(f"{what}: the manifest is larger than {LARGEST_MANIFEST} bytes")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if not media_type.startswith(_SCHEMA_1):
            # The digest of schema 1 is not that of its bytes, and the refusal of schema 1 says
            # more.
            promised = digest or _content_digest(answer.headers)
            if promised:
                verify_manifest(answer.body, promised, what)
        return Manifest.parse(answer.body, None if media_type in _GENERIC_TYPES else media_type or None, what)

    def has_manifest(self, digest: Digest) -> bool:
        """Return whether the manifest is in the repository."""
        status = self._host.ask(self._manifest_call("HEAD", digest), 200, 404, 405).status
        if status == 405:
            status = self._host.ask(self._manifest_call("GET", digest), 200, 404, limit=LARGEST_MANIFEST).status
        return status == 200

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the content of a blob in chunks of up to 256 KiB; NotFound if it is not here.

        A layer that must not be redistributed is then read from the URLs in its descriptor (OCI image
        specification 1.1, "Descriptors", `urls`), without credentials, since the author of the image
        chose them. Raises IntegrityError, at the latest after the last chunk, unless the content has
        the digest and size of `blob`. A broken connection is resumed. The transfer slot is held until
        the iterator ends or is closed.
        """
        with self._host.slot(), closing(self._chunks(blob)) as chunks:
            yield from verified(chunks, blob, self.name)

    def _chunks(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the content of a blob from the first location that has it, unverified."""
        elsewhere = blob.urls if blob.is_non_distributable else ()
        faults: list[StoreError] = []
        calls = [Call("GET", self._blob_path(blob), self._reading)]
        calls += [Call("GET", place, self._reading, anonymous=True) for place in filter(is_http_url, elsewhere)]
        for call in calls:
            with closing(Download(self._host, call, blob.size).chunks()) as chunks:
                try:
                    first = next(chunks, b"")
                except StoreError as error:
                    faults.append(error)
                    continue
                if first:
                    yield first
                yield from chunks
                return
        if len(faults) == 1:
            raise faults[0]
        raise type(faults[-1])(f"{faults[0]}; nor can it be had from where its manifest says: {faults[-1]}")

    def has_blob(self, blob: Descriptor) -> bool:
        """Return whether the blob is in the repository."""
        return self._host.ask(Call("HEAD", self._blob_path(blob), self._reading), 200, 404).status == 200

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Store a blob unless it exists, and return whether it was stored; the content is streamed.

        It is opened again for each attempt. Raises IntegrityError if the content has another size
        than `blob`, or the registry stored it under another digest.
        """
        if self.has_blob(blob):
            return False
        with self._host.slot():
            self._host.retries.run(lambda: self._upload(blob, open_content))
        return True

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        """Mount a blob from another repository of the registry; False if it has to be transferred instead.

        Also False if access to one of the repositories is denied: the transfer then reports it.
        """
        if not isinstance(source, RegistryStore) or source.repository.registry != self._repository.registry:
            return False
        if source.repository == self._repository:
            return self.has_blob(blob)
        scopes = self._all_scopes | {Scope.of(source.repository, "pull")}
        query = urlencode({"mount": blob.digest, "from": source.repository.path})
        call = Call("POST", f"{self._root}/blobs/uploads/?{query}", Access(self._repository, scopes, scopes))
        try:
            answer = self._host.ask(call, 201, 202, *range(400, 500))
        except AccessDenied:
            return False
        if answer.status != 201:
            return False
        self._check_stored(answer, blob.digest)
        return True

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        """Store a manifest under `tag`, or under its digest alone.

        Raises IntegrityError if the registry stored it under another digest. An unknown blob, which
        the caller has stored, is retried: another push of the same blob may be in progress, or a
        replica may lag. InvalidReference for an invalid tag, which would become part of the URL.
        """
        if tag is not None:
            self._check_tag(tag, manifest.digest)
        call = Call(
            "PUT",
            f"{self._root}/manifests/{tag or manifest.digest}",
            self._writing,
            {"Content-Type": manifest.media_type},
            manifest.raw,
        )
        answer = self._host.retries.run(lambda: self._host.attempt(call, 200, 201, 202, transient=_BLOBS_LATE))
        self._check_stored(answer, manifest.digest)

    def _check_tag(self, tag: str, digest: Digest) -> None:
        try:
            check_tag(tag, self.name)
        except InvalidReference as error:
            problem = tag_problem(f"{self._repository}:{tag}")
            error.drop_in = f"Tagging images: Tagging image {self._repository.at(digest)}: {problem}"
            raise

    def list_tags(self) -> Iterator[str]:
        """Yield the tags of the repository in the registry's order; NotFound if there is no such repository."""
        for answer in self._pages(f"{self._root}/tags/list?n={_TAGS_PER_PAGE}", "list of tags"):
            yield from tags_of(answer)

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> Manifest | None:
        """Return the index of the manifests that name `digest` as their subject; None if there are none.

        Uses the API (distribution specification 1.1, "Listing Referrers"), and the fallback tag if the
        registry has no such API, or if the API lists nothing and the tag is known to exist, as when the
        registry got its API later. `tags` are those of the repository, if known.
        """
        index, tag = self._listed_referrers(digest), referrers_tag(digest)
        if (index is None and tags is None) or (tags and tag in tags and not (index and index.children)):
            index = find_manifest(self, tag)
        return index if index and index.is_index and index.children else None

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        """Register the manifests of an index, which are already stored, as referrers of `subject`.

        A registry with the API for referrers does it automatically; otherwise the tag is written.
        """
        return self._listed_referrers(subject) is None and put_tagged_referrers(self, index, subject)

    def _listed_referrers(self, digest: Digest) -> Manifest | None:
        """Return the API's list, an empty index included; None if the registry has no such API."""
        if self._host.has_referrers_api is False:
            return None
        what = f"{self.name}: referrers of {digest}"
        pages, size = [], 0
        for answer in self._pages(f"{self._root}/referrers/{digest}", "list of referrers", *_NO_SUCH_API):
            self._host.has_referrers_api = answer.status == 200
            if answer.status != 200:
                return None
            size += len(answer.body)
            if size > _LARGEST_PAGE:
                raise StoreError(f"{what}: the list has more than the {in_words(_LARGEST_PAGE)} that are read")
            pages.append(Manifest.parse(answer.body, OCI_INDEX, what))
        return merged_index(pages)

    def _pages(self, path: str, what: str, *expected: int) -> Iterator[Answer]:
        """Yield the pages of a list; the last one may have one of the `expected` statuses instead of 200."""
        target: str | None = path
        seen = set()
        while target:
            seen.add(target)
            answer = self._host.ask(Call("GET", target, self._reading), 200, *expected, limit=_LARGEST_PAGE)
            yield answer
            target = next_page(answer)
            if target in seen:
                raise StoreError(f"{answer.place}: the pages of the {what} form a cycle")

    def _manifest_call(self, method: str, identifier: str) -> Call:
        return Call(method, f"{self._root}/manifests/{identifier}", self._reading, _ACCEPT)

    def _blob_path(self, blob: Descriptor) -> str:
        return f"{self._root}/blobs/{blob.digest}"

    def _upload(self, blob: Descriptor, open_content: OpenContent) -> None:
        """Make one attempt, in its own upload session."""
        start = Call("POST", f"{self._root}/blobs/uploads/", self._writing, {"Content-Length": "0"})
        opened = self._host.attempt(start, 202)
        location = opened.headers.get("Location")
        if not location:
            raise StoreError(f"{opened.place}: the registry did not say where to upload to")
        target, _ = urldefrag(resolve_location(opened.url, location))
        target += f"{'&' if '?' in target else '?'}digest={quote(blob.digest, safe='')}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
        put = Call("PUT", target, self._writing, headers, lambda: self._content(blob, open_content))
        self._check_stored(self._host.attempt(put, 201, transient=_SESSION_LOST), blob.digest)

    def _content(self, blob: Descriptor, open_content: OpenContent) -> Iterator[bytes]:
        """Yield exactly as many bytes as the request's headers promise."""
        sent = 0
        for chunk in _read_content(blob, open_content):
            sent += len(chunk)
            if sent > blob.size:
                break
            yield chunk
        if sent != blob.size:
            problem = f"ended after {sent} of" if sent < blob.size else "is larger than"
            what = f"{self.name}: the content of blob {blob.digest}"
            raise IntegrityError(f"{what} {problem} the stated {blob.size} bytes")

    def _check_stored(self, answer: Answer, digest: Digest) -> None:
        stored = _content_digest(answer.headers)
        if stored and stored.algorithm == digest.algorithm and stored != digest:
            raise IntegrityError(f"{answer.place}: the registry stored {stored} instead of {digest}")


def _read_content(blob: Descriptor, open_content: OpenContent) -> Iterator[bytes]:
    try:
        with open_content() as content:
            while chunk := content.read(CHUNK):
                yield chunk
    except OSError as error:
        # Raised directly, it would look like a fault of the connection.
        raise StoreError(f"the content of blob {blob.digest} cannot be read: {error.strerror or error}") from error


def _content_digest(headers: Mapping[str, str]) -> Digest | None:
    """Return the digest that the registry states, if it is valid."""
    try:
        return Digest.parse(headers.get("Docker-Content-Digest", ""))
    except InvalidDigest:
        return None
