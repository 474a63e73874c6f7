from __future__ import annotations

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.kbld.reading import parse_config
from bundlepipe.documents.search.annotations import (
    git_origin,
    images_text,
    local_origin,
    origins_text,
    platform_origin,
    preresolved_origin,
    resolved_origin,
    tagged_origin,
)
from bundlepipe.oci.reference import Reference

A = "sha256:" + "a" * 64


def test_images_are_written_with_their_origins_as_kbld_writes_them() -> None:
    built = [
        local_origin("/work/app"),
        git_origin("4c96b45", dirty=True, remote_url="git@example.org:team/app", tags=["v1", "1.0"]),
        tagged_origin(["1.0", "latest"]),
    ]
    images = [
        ("localhost:5000/app@" + A, built),
        (f"index.docker.io/library/nginx@{A}", [resolved_origin("nginx", None)]),
    ]
    listed = (
        "- origins:\n"
        "  - local:\n"
        "      path: /work/app\n"
        "  - git:\n"
        "      dirty: true\n"
        "      remoteURL: git@example.org:team/app\n"
        "      sha: 4c96b45\n"
        "      tags:\n"
        "      - v1\n"
        '      - "1.0"\n'
        "  - tagged:\n"
        "      tags:\n"
        '      - "1.0"\n'
        "      - latest\n"
        f"  url: localhost:5000/app@{A}\n"
        "- origins:\n"
        "  - resolved:\n"
        "      url: nginx\n"
        f"  url: index.docker.io/library/nginx@{A}\n"
    )
    assert images_text(images) == images_text([*images, images[0]]) == listed


def test_an_image_that_came_by_two_ways_is_written_twice() -> None:
    ways = [("a@b", [resolved_origin("a:1", "1")]), ("a@b", [resolved_origin("a:2", "2")])]
    assert images_text(ways).count("  url: a@b\n") == 2


def test_an_image_without_origins_has_only_its_reference() -> None:
    assert images_text([("a@b", [])]) == "- url: a@b\n"
    assert images_text([]) == "null\n"


def test_the_origin_of_a_platform_has_what_is_known_of_it() -> None:
    assert origins_text([platform_origin("a@b", "linux", "arm64", None)]) == (
        "- platformSelected:\n    architecture: arm64\n    index: a@b\n    os: linux\n"
    )
    assert platform_origin("a@b", "linux", "arm", "v7")["platformSelected"]["variant"] == "v7"


def test_a_commit_without_tags_is_written_without_them() -> None:
    assert origins_text([git_origin("1e3", dirty=False, remote_url="x")]) == (
        '- git:\n    dirty: false\n    remoteURL: x\n    sha: "1e3"\n'
    )


def test_the_origins_of_an_images_lock_are_read_again() -> None:
    origins = (resolved_origin("nginx:1.0", "1.0"), preresolved_origin("x: y"))
    annotations = {KBLD_ID: "nginx", "kbld.carvel.dev/origins": origins_text(origins)}
    lock = ImagesLock((ImageRef(Reference.parse(f"nginx@{A}"), annotations),))
    (override,) = parse_config(lock.to_bytes(), "images.yml").overrides
    assert override.origins == origins
