from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundlepipe.errors import InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

COMPONENTS = st.from_regex(r"[a-z0-9]{1,5}([._]|__|-{1,3})?[a-z0-9]{0,3}[a-z0-9]", fullmatch=True)
HOSTS = st.sampled_from(
    [
        "localhost",
        "localhost:5000",
        "registry.example",
        "Registry.Example:80",
        "[::1]",
        "[2001:db8::A]:5000",
        "UPPER",
        "docker.io",
        "index.docker.io",
        "127.0.0.1:1",
        "a-b.c-d",
        "host:443",
    ]
)
TAGS = st.text("AZaz09_.-", min_size=1, max_size=128).filter(lambda tag: tag[0] not in ".-")


@st.composite
def references(draw: st.DrawFn) -> str:
    host = draw(st.none() | HOSTS)
    path = "/".join(draw(st.lists(COMPONENTS, min_size=1, max_size=4)))
    tag = draw(st.none() | TAGS)
    digest = draw(st.none() | st.just(DIGEST))
    return f"{f'{host}/' if host else ''}{path}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag"),
    [
        ("nginx", "index.docker.io", "library/nginx", None),
        ("nginx:1.27", "index.docker.io", "library/nginx", "1.27"),
        ("library/nginx", "index.docker.io", "library/nginx", None),
        ("dkalinin/k8s-simple-app", "index.docker.io", "dkalinin/k8s-simple-app", None),
        ("docker.io/nginx", "index.docker.io", "library/nginx", None),
        ("docker.io/a/b", "index.docker.io", "a/b", None),
        ("index.docker.io/nginx:x", "index.docker.io", "library/nginx", "x"),
        ("localhost/app", "localhost", "app", None),
        ("localhost:5000/app:1", "localhost:5000", "app", "1"),
        ("localhost:5000", "index.docker.io", "library/localhost", "5000"),
        ("layout.localhost/common:dev", "layout.localhost", "common", "dev"),
        ("registry.example/a/b/c", "registry.example", "a/b/c", None),
        ("registry.example:5000/a:tag", "registry.example:5000", "a", "tag"),
        ("host:443/a", "host:443", "a", None),
        ("Upper/a", "Upper", "a", None),
        ("a/b", "index.docker.io", "a/b", None),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", None),
        ("[::1]/a", "[::1]", "a", None),
        ("[::1]:5000/a:1", "[::1]:5000", "a", "1"),
        ("[2001:DB8::1]:5000/a/b", "[2001:DB8::1]:5000", "a/b", None),
        ("a__b/c-d/e---f.g_h", "index.docker.io", "a__b/c-d/e---f.g_h", None),
        ("a:" + "t" * 128, "index.docker.io", "library/a", "t" * 128),
        ("a:_T.-9", "index.docker.io", "library/a", "_T.-9"),
        ("a/" + HEX, "index.docker.io", f"a/{HEX}", None),
        ("registry.example/" + HEX, "registry.example", HEX, None),
    ],
)
def test_references_are_spelled_out(text: str, registry: str, path: str, tag: str | None) -> None:
    assert Reference.parse(text) == Reference(Repository(registry, path), tag)
    assert Reference.parse(f"{text}@{DIGEST}") == Reference(Repository(registry, path), tag, Digest(DIGEST))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "an image reference is empty"),
        (" nginx", "' nginx': an image reference has no surrounding white space"),
        ("nginx\n", "an image reference has no surrounding white space"),
        ("Nginx", "'Nginx': repository names are lower case, but 'Nginx' is not"),
        ("a/B", "'a/B': repository names are lower case, but 'B' is not"),
        ("a//b", "'a//b': a part of the repository name is empty"),
        ("/a", "'/a': a part of the repository name is empty"),
        ("a/", "'a/': a part of the repository name is empty"),
        ("registry.example/", "a part of the repository name is empty"),
        ("a b", "'a b' cannot be part of a repository name"),
        ("a..b", "'a..b' cannot be part of a repository name"),
        ("a___b", "'a___b' cannot be part of a repository name"),
        ("-a", "'-a' cannot be part of a repository name"),
        ("a-", "'a-' cannot be part of a repository name"),
        ("ü", "'ü' cannot be part of a repository name"),
        ("https://registry.example/a", "'https:' is not a registry host: expected HOST or HOST:PORT"),
        ("host:port/a", "'host:port' is not a registry host: expected HOST or HOST:PORT"),
        ("-host.example/a", "'-host.example' is not a registry host"),
        ("host..example/a", "'host..example' is not a registry host"),
        ("[::1/a", "'[::1' is not a registry host"),
        ("[::g]/a", "'[::g]' is not a registry host"),
        ("::1/a", "'::1' is not a registry host"),
        ("user@host/a", "an image reference has no user and password in it: remove what is before '@'"),
        ("a:", "'a:': '' is not a tag: expected up to 128 letters, digits, '_', '.', '-'"),
        ("a:-b", "'-b' is not a tag"),
        ("a:.b", "'.b' is not a tag"),
        ("a:b c", "'b c' is not a tag"),
        ("a:" + "t" * 129, "is not a tag: expected up to 128"),
        ("a:b:c", "a:b' cannot be part of a repository name"),
        ("registry.example/a:b/c", "'b/c' is not a tag"),
        ("a@", "is not an image reference: '' is not a digest: expected ALGORITHM:HEX"),
        ("a@latest", "is not an image reference: 'latest' is not a digest"),
        ("a@sha256:abc", "is not an image reference: 'sha256:abc': expected 64 lower-case hexadecimal digits"),
        (f"a@{DIGEST}@{DIGEST}", "is not an image reference"),
        (f"@{DIGEST}", "a part of the repository name is empty"),
        (HEX, "is an image ID, not an image reference: expected a repository name"),
        (f"docker.io/{HEX}", "is an image ID, not an image reference"),
        ("a/" + "b" * 300, "a repository name has at most 255 characters"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@given(references())
@example("nginx")
@example(f"docker.io/a:b@{DIGEST}")
def test_the_text_of_a_reference_spells_the_same_reference(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference
    assert str(Reference.parse(str(reference))) == str(reference)
    assert Repository.parse(str(reference.repository)) == reference.repository


@given(st.text(max_size=40) | st.text("aA0.:/@[]-_ \n", max_size=20))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    parsed: Reference | None = None
    message = ""
    try:
        parsed = Reference.parse(text)
    except InvalidReference as error:
        message = str(error)
    assert message or (parsed and Reference.parse(str(parsed)) == parsed)
    assert "\n" not in message


def test_what_is_asked_of_a_registry_is_the_digest_else_the_tag_else_latest() -> None:
    assert Reference.parse("a").identifier == "latest"
    assert Reference.parse("a:b").identifier == "b"
    assert Reference.parse(f"a:b@{DIGEST}").identifier == DIGEST


def test_an_absent_tag_stays_absent() -> None:
    assert Reference.parse("a").tag is None
    assert str(Reference.parse("a")) == "index.docker.io/library/a"


def test_a_digest_replaces_the_tag() -> None:
    assert str(Reference.parse("a:b").with_digest(Digest(DIGEST))) == f"index.docker.io/library/a@{DIGEST}"


def test_a_repository_makes_references() -> None:
    repository = Repository.parse("registry.example:5000/a/b")
    assert str(repository) == "registry.example:5000/a/b"
    assert repository.tagged("1") == Reference.parse("registry.example:5000/a/b:1")
    assert repository.at(Digest(DIGEST)) == Reference.parse(f"registry.example:5000/a/b@{DIGEST}")


@pytest.mark.parametrize("text", ["a:b", f"a@{DIGEST}"])
def test_a_repository_has_neither_tag_nor_digest(text: str) -> None:
    with pytest.raises(InvalidReference, match="expected a repository without tag or digest"):
        Repository.parse(text)


def test_repositories_are_ordered_by_registry_and_path() -> None:
    texts = ["b.example/a", "a.example/b", "a.example/a"]
    assert [str(repository) for repository in sorted(map(Repository.parse, texts))] == sorted(texts)
