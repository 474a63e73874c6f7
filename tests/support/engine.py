"""Images in the Docker Engine, with names that nobody else has; they are gone when the test is over."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bundlepipe.errors import NotFound
from bundlepipe.oci.digest import Digest
from bundlepipe.stores.engine.client import engine_client, engine_errors
from bundlepipe.stores.engine.store import find_image, tag_image
from bundlepipe.stores.location import EngineLocation, parse_location
from tests.support.services import require


class EngineImages:
    """Makes names, and images under them."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def name(self, tag: str = "dev") -> str:
        """Return a name, such as `app-1f3c:dev`, that stands for nothing yet."""
        self._names.append(f"bundlepipe-test-{secrets.token_hex(4)}:{tag}")
        return self._names[-1]

    def build(self, files: Mapping[str, bytes], *instructions: str) -> str:
        """Return the name of an image FROM scratch that nobody else has, each file a layer of its own."""
        name = self.name()
        copies = [f"COPY {json.dumps([path, f'/{path}'])}" for path in files]
        dockerfile = "\n".join(["FROM scratch", f"LABEL made-as={name}", *copies, *instructions])
        context = archive({**files, "Dockerfile": dockerfile.encode()})
        with engine_errors(name):
            messages = list(
                engine_client().build(fileobj=io.BytesIO(context), custom_context=True, tag=name, rm=True, decode=True)
            )
        made = find_image(located(name))
        assert made, messages
        # A name may move to another image.
        self._names.append(made)
        return name

    def also(self, name: str) -> str:
        """Have an image under this name removed as well."""
        self._names.append(name)
        return name

    def tag(self, image: str, name: str) -> None:
        """Let a name stand for an image that another name stands for."""
        tag_image(image_id(image), located(name))

    def remove(self, name: str) -> None:
        """Remove an image by name, and its layers unless another name has them."""
        try:
            with engine_errors(name):
                engine_client().remove_image(name, force=True)
        except NotFound:
            return

    def remove_all(self) -> None:
        """Remove whatever was made."""
        for name in self._names:
            self.remove(name)


@contextmanager
def engine_images() -> Iterator[EngineImages]:
    """Give images that are removed at the end."""
    require("docker")
    images = EngineImages()
    try:
        yield images
    finally:
        images.remove_all()


def located(name: str) -> EngineLocation:
    """Return the location of a name in the Engine."""
    location = parse_location(f"docker-daemon:{name}")
    assert isinstance(location, EngineLocation)
    return location


def image_id(name: str) -> Digest:
    """Return the ID that a name stands for, as the `docker` program tells it."""
    answer = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", name], check=True, capture_output=True, text=True
    )
    return Digest.parse(answer.stdout.strip())


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of executable files, the same for the same files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as writer:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o755
            writer.addfile(info, io.BytesIO(content))
    return file.getvalue()
