from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.imgpkg.image_locations import ImageLocation, ImageLocations
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference

HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImageLocations\n"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
APP, BUNDLE = Reference.parse(f"registry.example/src/app@{A}"), Reference.parse(f"registry.example/bundle@{B}")


def read(body: str) -> ImageLocations:
    return ImageLocations.parse((HEAD + body).encode(), "image-locations.yml")


def test_locations_are_written_as_imgpkg_writes_them_sorted_by_image() -> None:
    assert ImageLocations((ImageLocation(APP, False), ImageLocation(BUNDLE, True))).to_bytes().decode() == (
        "---\n"
        "apiVersion: imgpkg.carvel.dev/v1alpha1\n"
        "images:\n"
        f"- image: registry.example/bundle@{B}\n"
        "  isBundle: true\n"
        f"- image: registry.example/src/app@{A}\n"
        "  isBundle: false\n"
        "kind: ImageLocations\n"
    )


def test_no_images_are_null() -> None:
    assert ImageLocations().to_bytes() == (
        b"---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages: null\nkind: ImageLocations\n"
    )


def test_an_image_without_digest_is_not_written() -> None:
    with pytest.raises(InvalidReference, match="is not a digest reference"):
        ImageLocations((ImageLocation(Reference.parse("a/b:1"), False),)).to_bytes()


@pytest.mark.parametrize("images", ["", "images: null", "images: []"])
def test_images_may_be_absent_null_or_empty(images: str) -> None:
    assert read(images) == ImageLocations()


def test_reading_is_lenient_about_unknown_keys_and_isbundle() -> None:
    text = (
        f"more: x\nimages:\n- {{image: 'registry.example/src/app@{A}', size: 5}}\n- image: {BUNDLE}\n  isBundle: true\n"
    )
    assert read(text) == ImageLocations((ImageLocation(APP, False), ImageLocation(BUNDLE, True)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("images: [{image: 'a/b:1'}]", "3:18: 'a/b:1' is not a digest reference, expected one such as a/b:1@sha256:"),
        (f"images: [{{image: 'a/b@{A}', isBundle: yes}}]", "3:107: 'isBundle': expected true or false, found 'yes'"),
        ("images: [{}]", "3:10: missing key 'image' in 'images[0]', expected a digest reference"),
        ("images: {}", "3:9: 'images': expected a list of images, found a mapping"),
    ],
)
def test_what_cannot_be_used_is_a_problem(body: str, expected: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(body)
    (problem,) = caught.value.problems
    assert problem.startswith(f"image-locations.yml:{expected}")


def test_another_kind_of_document_is_a_problem() -> None:
    with pytest.raises(DocumentError, match="'kind' is 'ImagesLock', expected 'ImageLocations'"):
        ImageLocations.parse(HEAD.replace("ImageLocations", "ImagesLock").encode(), "l.yml")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), unique_by=lambda entry: entry[0]))
def test_what_is_written_is_read_again_in_the_order_of_the_images(entries: list[tuple[str, bool]]) -> None:
    locations = [ImageLocation(Reference.parse(f"r.example/{name}@{A}"), is_bundle) for name, is_bundle in entries]
    written = ImageLocations(tuple(locations)).to_bytes()
    expected = sorted(locations, key=lambda location: str(location.image))
    assert ImageLocations.parse(written, "l.yml") == ImageLocations(tuple(expected))
