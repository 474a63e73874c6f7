"""kbld's annotation of images, read."""

from __future__ import annotations

import pytest

from bundlepipe.documents.search.annotated import ListedImage, listed_images
from bundlepipe.documents.search.annotations import images_text, resolved_origin
from bundlepipe.documents.yaml.writer import write
from bundlepipe.errors import DocumentError


def resource(annotation: object) -> bytes:
    """Return a resource with this annotation of images."""
    annotations = {"kbld.k14s.io/images": annotation}
    return write({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "annotations": annotations}})


def test_what_is_written_is_read() -> None:
    origins = [resolved_origin("web:1", "1")]
    content = resource(images_text([("a@b", origins), ("c@d", [])]))
    assert listed_images(content, "a.yml") == [
        ListedImage("a@b", origins, "pod/web (v1) cluster"),
        ListedImage("c@d", [], "pod/web (v1) cluster"),
    ]


def test_what_old_releases_of_kbld_wrote_is_read() -> None:
    (found,) = listed_images(resource("- Metas:\n  - Type: git\n    SHA: 4c96b45\n  URL: a@b\n"), "a.yml")
    assert (found.image, found.origins) == ("a@b", [{"Type": "git", "SHA": "4c96b45"}])


def test_resources_without_the_annotation_have_no_images() -> None:
    assert listed_images(resource(images_text([])), "a.yml") == []
    assert listed_images(b"kind: Pod\nmetadata: {annotations: {a: b}}\n---\nkind: Pod\n", "a.yml") == []
    assert listed_images(resource({"not": "a text"}), "a.yml") == []


@pytest.mark.parametrize("annotation", ["null\n", "", "# nothing\n"])
def test_kbld_writes_null_for_no_images(annotation: str) -> None:
    assert listed_images(resource(annotation), "a.yml") == []


@pytest.mark.parametrize(
    "annotation",
    ["a", "- url: a@b\n---\n- url: c@d", "- 1", "- url: 1", "- url: a@b\n  origins: text", "- origins: []"],
)
def test_what_is_no_list_of_images_is_told_with_its_place(annotation: str) -> None:
    with pytest.raises(DocumentError, match=r"^a\.yml:6:26: kbld\.k14s\.io/images: expected a list of mappings"):
        listed_images(resource(annotation), "a.yml")
