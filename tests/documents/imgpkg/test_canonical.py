"""Documents in canonical form are read without a YAML parser, and as the strict reader reads them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.imgpkg.canonical import canonical_data
from bundlepipe.documents.imgpkg.common import digest_reference
from bundlepipe.documents.imgpkg.image_locations import ImageLocation, ImageLocations
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.schemas import validator
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference

HEAD = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\n"
DIGEST = "sha256:" + "a" * 64
ORIGINS = "- resolved:\n    tag: 1.0\n    url: registry.example:5000/app:1.0\n"
LOCK = ImagesLock(
    (
        ImageRef(Reference.parse(f"registry.example:5000/app@{DIGEST}"), {KBLD_ID: "app:1.0", "a.b/origins": ORIGINS}),
        ImageRef(Reference.parse(f"127.0.0.1:5000/1e3@{DIGEST}"), {KBLD_ID: "127.0.0.1:5000/1e3"}),
        ImageRef(Reference.parse(f"index.docker.io/library/nginx@{DIGEST}")),
    )
)
LOCATIONS = ImageLocations((ImageLocation(LOCK.images[0].image, True), ImageLocation(LOCK.images[2].image, False)))
DOCUMENTS = {
    "ImagesLock": LOCK.to_bytes().decode(),
    "ImageLocations": LOCATIONS.to_bytes().decode(),
}


def strictly(text: str, kind: str) -> dict[str, Any] | None:
    """What the strict reader makes of a document; None where it finds a fault."""
    schema = "images-lock" if kind == "ImagesLock" else "image-locations"
    try:
        document = load_one(text.encode("utf-8", "surrogatepass"), "x.yml")
    except DocumentError:
        return None
    if validator.problems(document, schema):
        return None
    data: dict[str, Any] = document.data
    return data


def is_reference(text: str) -> bool:
    try:
        digest_reference(text)
    except InvalidReference:
        return False
    return True


def is_read_alike(text: str, kind: str) -> None:
    data = canonical_data(text.encode("utf-8", "surrogatepass"), kind)
    if data is not None and all(is_reference(entry["image"]) for entry in data["images"]):
        expected = strictly(text, kind)
        assert expected is not None
        assert data == {**expected, "images": expected.get("images") or []}


@pytest.mark.parametrize(("kind", "text"), DOCUMENTS.items())
def test_what_is_written_is_in_canonical_form(kind: str, text: str) -> None:
    assert canonical_data(text.encode(), kind) == strictly(text, kind)
    assert canonical_data(text.removeprefix("---\n").encode(), kind) == strictly(text, kind)


@pytest.mark.parametrize("images", ["", "images: []\n", "images: null\n"])
def test_there_may_be_no_images(images: str) -> None:
    assert canonical_data(f"{HEAD}{images}kind: ImagesLock\n".encode(), "ImagesLock") == {
        "apiVersion": "imgpkg.carvel.dev/v1alpha1",
        "images": [],
        "kind": "ImagesLock",
    }


@pytest.mark.parametrize(
    "entry",
    [
        "- image: true",
        "- image: 1.0",
        "- image: a b",
        "- image: a # b",
        "- image: 'a'",
        "- image: a:",
        "- image: &a b",
        "- image: a\n- image: b ",
        "-  image: a",
        "- image: a\n\n- image: b",
        "- image: a\n  isBundle: true",
        "- image: a\n  image: b",
        "- annotations: {}\n  image: a",
        "- annotations:\n    a: b\n  image: a",
        "- annotations:\n    a.b: 1.0\n  image: a",
        "- annotations:\n    a.b: c\n    a.b: d\n  image: a",
        "- annotations:\n    a.b: c\n     d\n  image: a",
        "- annotations:\n    a.b: |\n        c\n  image: a",
        "- annotations:\n    a.b: |\n      c\n\n      d\n  image: a",
        "- annotations:\n    a.b: |\n      c\n     d\n  image: a",
        "- annotations:\n    a.b: |-\n      c\n  image: a",
        "- annotations:\n    a.b: |\n      \tc\n  image: a",
        "- annotations:\n    a.b: |\n      \xe4\n  image: a",
        "- image: a\r",
    ],
)
def test_any_other_form_is_left_to_the_strict_reader(entry: str) -> None:
    text = f"{HEAD}images:\n{entry}\nkind: ImagesLock\n"
    assert canonical_data(text.encode(), "ImagesLock") is None


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: imgpkg.carvel.dev/v1\nkind: ImagesLock\n",
        f"{HEAD}kind: ImagesLock",
        f"{HEAD}kind: BundleLock\n",
        f"{HEAD}images:\nkind: ImagesLock\n",
        f"{HEAD}kind: ImagesLock\n---\n",
        f"{HEAD}kind: ImagesLock\nmore: 1\n",
        "\ufeff" + f"{HEAD}kind: ImagesLock\n",
    ],
)
def test_heads_and_ends_are_exact(text: str) -> None:
    assert canonical_data(text.encode(), "ImagesLock") is None


def test_a_document_beyond_the_limit_is_left_to_the_strict_reader() -> None:
    text = f"{HEAD}images:\n" + f"- image: a@{DIGEST}\n" * 100_001 + "kind: ImagesLock\n"
    assert canonical_data(text.encode(), "ImagesLock") is None


@pytest.mark.parametrize("line", [" " * 200_000, "x" * 200_000 + "\t", " x" * 100_000 + "\t"])
def test_long_lines_take_no_longer_than_their_length(line: str) -> None:
    # With a pattern that tries every split of a line this would take an hour.
    text = f"{HEAD}images:\n- annotations:\n    a.b: |\n      c\n      {line}\n  image: a@{DIGEST}\nkind: ImagesLock\n"
    assert canonical_data(text.encode(), "ImagesLock") is None


@given(st.data(), st.sampled_from(sorted(DOCUMENTS)))
def test_a_changed_document_is_read_alike_or_not_at_all(data: st.DataObject, kind: str) -> None:
    text = DOCUMENTS[kind]
    pieces = st.one_of(
        st.sampled_from(
            ["\n", " ", "  ", ": ", "- ", "|", "#", "'", '"', "&a", "*a", "!", "true", "null", "1", "~", "\t"]
        ),
        st.sampled_from(text.splitlines(keepends=True)),
        st.characters(),
    )
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + data.draw(pieces) + text[end:]
    is_read_alike(text, kind)


def test_a_canonical_lock_needs_no_yaml_parser() -> None:
    script = (
        "import sys\n"
        "from bundlepipe.documents.imgpkg.images_lock import ImagesLock\n"
        "assert ImagesLock.parse(sys.stdin.buffer.read(), 'x').images\n"
        "print(sorted({'yaml', 'jsonschema', 'difflib'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], input=LOCK.to_bytes(), stdout=subprocess.PIPE, check=True)
    assert shown.stdout.strip() == b"[]"
