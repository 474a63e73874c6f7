"""doctor: diagnose this machine, and a registry or image that a user names."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version

from bundlepipe.errors import InvalidReference, StoreError, quoted
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.builders.buildx import has_buildx
from bundlepipe.stores.diagnosis.finding import Finding
from bundlepipe.stores.diagnosis.rights import Subject
from bundlepipe.stores.engine.client import engine_client, engine_errors, engine_words
from bundlepipe.stores.keychains.docker_config import DockerConfig
from bundlepipe.stores.location import LOCAL_PREFIXES

HERE = "this machine"

# What each is for; all are optional.
_PROGRAMS = {
    "kubectl": "applies rendered configuration",
    "git": "finds tracked files, and the origin of configuration",
}


def parse_subject(text: str) -> Subject:
    """Parse HOST[:PORT], HOST/REPOSITORY or a reference; InvalidReference for anything else."""
    if text.startswith(LOCAL_PREFIXES) or "://" in text:
        raise InvalidReference(
            f"{quoted(text.rpartition('@')[2])}: expected HOST[:PORT], HOST/REPOSITORY or a reference"
        )
    name, at, digest = text.rpartition("@")
    if at and ("@" in name or not digest.startswith(("sha256:", "sha512:"))):
        # The part before the host may be a password.
        raise InvalidReference("a registry has no user and password in its name: remove what is before '@'")
    if "/" in text or at:
        reference = Reference.parse(text)
        repository = reference.repository
        return Subject(repository.registry, repository.path, reference.digest or reference.tag or "")
    if not ("." in text or ":" in text or text == "localhost"):
        raise InvalidReference(
            f"{quoted(text)}: a registry has a dot or a port in its name, or is localhost; for a repository of "
            f"Docker Hub say docker.io/library/{text}"
        )
    try:
        return Subject(Reference.parse(f"{text}/any").repository.registry)
    except InvalidReference:
        raise InvalidReference(f"{quoted(text)} is not a registry host: expected HOST or HOST:PORT") from None


def local_findings() -> Iterator[Finding]:
    """Yield findings about this machine. Missing parts are no fault; an unreadable configuration file is."""
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(HERE, "bundlepipe", "ok", f"{version('bundlepipe')}, {python}")
    yield _docker_configuration()
    yield _engine()
    if has_buildx():
        yield Finding(HERE, "docker buildx", "ok", "is installed, and builds Dockerfiles")
    else:
        yield Finding(
            HERE, "docker buildx", "none", "is not installed; the Docker Engine's own builder is used instead"
        )
    for name, use in _PROGRAMS.items():
        path = shutil.which(name)
        yield Finding(HERE, name, "ok", path) if path else Finding(HERE, name, "none", f"is not on PATH; it {use}")


def _docker_configuration() -> Finding:
    config = DockerConfig(os.environ)
    check = "Docker's configuration"
    try:
        config.check()
    except StoreError as error:
        return Finding(HERE, check, "failed", str(error))
    return Finding(HERE, check, "none" if config.place.endswith("(absent)") else "ok", config.place)


def _engine() -> Finding:
    check = "Docker Engine"
    try:
        client = engine_client()
        with engine_errors("the Docker Engine"):
            release = str(client.version()["Version"])
    except StoreError as error:
        return Finding(HERE, check, "none", str(error))
    return Finding(HERE, check, "ok", f"{engine_words(release)} answers")
