from __future__ import annotations

import pytest

from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.go_locks import bundle_lock, images_lock
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.errors import DocumentError
from bundlepipe.oci.reference import Reference

IMAGE = f"registry.example/app@sha256:{'a' * 64}"
HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\n"
BUNDLE = f"{HEAD}kind: BundleLock\nbundle: {{image: {IMAGE}, tag: TAG}}\n"
IMAGES = f"{HEAD}kind: ImagesLock\nimages: [{{image: {IMAGE}, annotations: {{a: 1.50, b: null}}}}]\n"
DECODING = "error unmarshaling JSON: while decoding JSON: json: "


@pytest.mark.parametrize(
    ("tag", "text"), [("1", "1"), ("1.50", "1.5"), ("true", "true"), ("'1.50'", "1.50"), ("y", "y"), ("null", None)]
)
def test_a_number_is_a_text_where_one_is_wanted(tag: str, text: str | None) -> None:
    assert bundle_lock(BUNDLE.replace("TAG", tag).encode(), "lock") == BundleLock(Reference.parse(IMAGE), text)


@pytest.mark.parametrize(
    "content", [IMAGES, IMAGES.replace("images:", "Images:"), f"{IMAGES}---\nother: 1\n", f"{IMAGES}...\nnot: [yaml\n"]
)
def test_the_first_document_counts_and_keys_in_any_case(content: str) -> None:
    expected = ImagesLock((ImageRef(Reference.parse(IMAGE), {"a": "1.5", "b": ""}),))
    assert images_lock(content.encode(), "lock") == expected
    assert parse_of_bundle(content.encode(), "lock") == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "Validating images lock: Validating apiVersion: Unknown version (known: imgpkg.carvel.dev/v1alpha1)"),
        (f"{HEAD}kind: x\n", "Validating images lock: Validating kind: Unknown kind (known: ImagesLock)"),
        ("[]\n", f"{DECODING}cannot unmarshal array into Go value of type lockconfig.ImagesLock"),
        (f"{HEAD}kind: 1\n", f"{DECODING}cannot unmarshal number into Go struct field .kind of type string"),
        (f"{HEAD}images: [1]\n", f"{DECODING}cannot unmarshal number into .images.0 of type lockconfig.ImageRef"),
        (f"{HEAD}b: 1\na: 1\n", f'{DECODING}unknown field "a"'),
        (
            f"{HEAD}images: [{{annotations: {{a: [b]}}}}]\n",
            f"{DECODING}cannot unmarshal array into Go struct field .images.0.annotations.a of type string",
        ),
        (
            f"{HEAD}kind: a\nkind: b\n",
            'error converting YAML to JSON: yaml: unmarshal errors:\n  line 3: key "kind" already set in map',
        ),
        (
            IMAGES.replace(IMAGE, "nginx:1"),
            "Validating images lock: Expected ref to be in digest form, got 'nginx:1'",
        ),
    ],
)
def test_faults_are_told_in_the_words_of_go(content: str, fault: str) -> None:
    with pytest.raises(DocumentError) as raised:
        images_lock(content.encode(), "lock")
    assert raised.value.drop_in in (fault, f"Unmarshaling images lock: {fault}")


def test_a_bundles_faulty_lock_is_told_with_places() -> None:
    with pytest.raises(DocumentError, match=r"^shop:1:1: missing key 'kind'"):
        parse_of_bundle(f"{HEAD}images: []\n".encode(), "shop")
