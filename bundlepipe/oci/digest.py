"""Content digests, as the OCI image specification defines them ("Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from bundlepipe.errors import InvalidDigest, quoted

if TYPE_CHECKING:
    from hashlib import _Hash

_ENCODED_LENGTH = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[+._-][a-z0-9]+)*):(?P<encoded>[a-zA-Z0-9=_-]+)")
_HEX = re.compile(r"[a-f0-9]+")


class Digest(str):
    """A digest such as `sha256:6c3c…`; equal to, and usable as, its text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return `text` as a digest.

        Raises InvalidDigest unless the algorithm is registered (sha256, sha512) and the number of
        lower-case hexadecimal digits matches it.
        """
        match = _GRAMMAR.fullmatch(text)
        if not match:
            raise InvalidDigest(f"{quoted(text)} is not a digest: expected ALGORITHM:HEX, such as sha256:<64 digits>")
        algorithm, encoded = match["algorithm"], match["encoded"]
        length = _ENCODED_LENGTH.get(algorithm)
        if length is None:
            raise InvalidDigest(
                f"{quoted(text)}: unsupported digest algorithm {quoted(algorithm)}, expected sha256 or sha512"
            )
        if len(encoded) != length or not _HEX.fullmatch(encoded):
            raise InvalidDigest(f"{quoted(text)}: expected {length} lower-case hexadecimal digits after '{algorithm}:'")
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the sha256 digest of `data`."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def from_hasher(cls, hasher: _Hash) -> Digest:
        """Return the current digest of a `hashlib` object (sha256 or sha512)."""
        return cls(f"{hasher.name}:{hasher.hexdigest()}")

    @property
    def algorithm(self) -> str:
        """The part before the colon."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The hexadecimal part after the colon."""
        return self.partition(":")[2]

    def of_same_algorithm(self, data: bytes) -> Digest:
        """Return the digest of `data` by this digest's algorithm: this one, if it is that of `data`."""
        hasher = self.hasher()
        hasher.update(data)
        return Digest.from_hasher(hasher)

    def hasher(self) -> _Hash:
        """Return a new `hashlib` object for this digest's algorithm."""
        return hashlib.new(self.algorithm)
