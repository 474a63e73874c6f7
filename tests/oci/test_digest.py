from __future__ import annotations

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.errors import InvalidDigest
from bundlepipe.oci.digest import Digest

SHA256, SHA512 = "sha256:" + "0123456789abcdef" * 4, "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_is_its_text(text: str) -> None:
    digest = Digest.parse(text)
    assert digest == text
    assert f"{digest}" == text
    assert hash(digest) == hash(text)
    assert f"{digest.algorithm}:{digest.encoded}" == text
    assert pickle.loads(pickle.dumps(digest)) == digest


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a digest: expected ALGORITHM:HEX, such as sha256:<64 digits>"),
        ("sha256", "is not a digest: expected ALGORITHM:HEX"),
        ("sha256:", "is not a digest: expected ALGORITHM:HEX"),
        (":" + "a" * 64, "is not a digest: expected ALGORITHM:HEX"),
        ("SHA256:" + "a" * 64, "is not a digest: expected ALGORITHM:HEX"),
        (" " + SHA256, "is not a digest: expected ALGORITHM:HEX"),
        (SHA256 + "\n", "is not a digest: expected ALGORITHM:HEX"),
        (SHA256 + ":x", "is not a digest: expected ALGORITHM:HEX"),
        ("md5:" + "a" * 32, "unsupported digest algorithm 'md5', expected sha256 or sha512"),
        ("sha256+b64u:" + "a" * 64, "unsupported digest algorithm 'sha256+b64u'"),
        ("sha256:" + "a" * 63, "expected 64 lower-case hexadecimal digits after 'sha256:'"),
        ("sha256:" + "a" * 65, "expected 64 lower-case hexadecimal digits after 'sha256:'"),
        ("sha256:" + "A" * 64, "expected 64 lower-case hexadecimal digits after 'sha256:'"),
        ("sha256:" + "g" * 64, "expected 64 lower-case hexadecimal digits after 'sha256:'"),
        ("sha512:" + "a" * 64, "expected 128 lower-case hexadecimal digits after 'sha512:'"),
    ],
)
def test_what_is_no_digest_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest.parse(text)
    assert str(caught.value).startswith("'" + text.replace("\n", "\\n") + "'")
    assert reason in str(caught.value)


@given(st.binary())
def test_the_digest_of_data_is_its_sha256(data: bytes) -> None:
    digest = Digest.of(data)
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert Digest.parse(digest) == digest


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_hasher_of_the_digest_arrives_at_it(algorithm: str) -> None:
    digest = Digest.from_hasher(hashlib.new(algorithm, b"content"))
    hasher = digest.hasher()
    hasher.update(b"content")
    assert Digest.from_hasher(hasher) == digest
    assert digest.of_same_algorithm(b"content") == digest != digest.of_same_algorithm(b"other")
    assert digest.algorithm == algorithm


@given(st.text(max_size=80) | st.text("sha256:abcdef0\n", max_size=80))
def test_any_text_is_a_digest_or_refused_in_one_line(text: str) -> None:
    message = ""
    try:
        assert Digest.parse(text) == text
    except InvalidDigest as error:
        message = str(error)
    assert message.isprintable()


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest.parse("x" * 1_000_000)
    assert len(str(caught.value)) < 1000
