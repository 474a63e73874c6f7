"""What only BuildKit can do is found before the classic builder trips over it, or passes over it."""

from __future__ import annotations

import pytest

from bundlepipe.oci.builds.buildkit_features import find_buildkit_feature


@pytest.mark.parametrize(
    ("dockerfile", "line", "name"),
    [
        ("# syntax=acme/frontend:2\nFROM scratch", 1, "'# syntax=acme/frontend:2'"),
        ("# escape=`\n# syntax = acme/frontend\nFROM scratch", 2, "'# syntax=acme/frontend'"),
        ("FROM scratch\nRUN --mount=type=cache,target=/c make", 2, "RUN --mount"),
        ("FROM scratch\nrun --network=none make", 2, "RUN --network"),
        ("FROM scratch\nRUN \\\n  # why\n\n  --security=insecure \\\n  make", 2, "RUN --security"),
        ("# escape=`\nFROM scratch\nRUN `\n  --mount=type=tmpfs,target=/t make", 3, "RUN --mount"),
        ("FROM scratch\nCOPY --link a /", 2, "COPY --link"),
        ("FROM scratch\nCOPY --from=x --chmod=755 a /", 2, "COPY --chmod"),
        ("FROM scratch\nADD --checksum=sha256:0 https://example.test/a /", 2, "ADD --checksum"),
        ("FROM scratch\nRUN <<EOF\nmake\nEOF", 2, "the here-document of RUN"),
        ('FROM scratch\nCOPY <<-"EOF" /a\nb\nEOF', 2, "the here-document of COPY"),
        ("FROM --platform=$BUILDPLATFORM scratch", 1, "$BUILDPLATFORM in FROM"),
        ("FROM scratch\nARG VERSION=1 TARGETARCH", 2, "ARG TARGETARCH, whose value BuildKit knows,"),
    ],
)
def test_what_needs_buildkit_is_found_with_its_line(dockerfile: str, line: int, name: str) -> None:
    assert find_buildkit_feature(dockerfile, {}) == (line, name)


@pytest.mark.parametrize(
    "dockerfile",
    [
        "# syntax=docker/dockerfile:1\nFROM scratch",
        "# syntax=docker.io/docker/dockerfile:1.4@sha256:0\nFROM scratch",
        "FROM scratch\n# syntax=acme/frontend\nRUN make",
        "FROM --platform=linux/amd64 scratch\nCOPY --from=0 --chown=1:1 a /",
        "FROM scratch\nRUN make --mount=x\nRUN echo 1 << 2",
        "FROM scratch\nENTRYPOINT --mount",
        "ARG TARGETARCH=amd64\nFROM scratch",
        "FROM scratch\nRUN a \\\n# RUN --mount=x\n b",
        "FROM scratch\\",
        "",
    ],
)
def test_what_the_classic_builder_can_do_is_left_to_it(dockerfile: str) -> None:
    assert find_buildkit_feature(dockerfile, {}) is None


def test_a_platform_that_is_given_needs_nobody_who_knows_it() -> None:
    assert find_buildkit_feature("FROM scratch\nARG TARGETARCH", {"TARGETARCH": "amd64"}) is None
