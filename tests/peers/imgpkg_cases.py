"""Command lines of imgpkg."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from tests.peers.cases import Case, Cases
from tests.peers.scene import Scene
from tests.support.images import (
    file_layer,
    make_world,
    put_bundle,
    put_cosign,
    put_image,
    put_index,
)

LOCK = """\
---
apiVersion: imgpkg.carvel.dev/v1alpha1
images: []
kind: ImagesLock
"""
BUNDLE_LOCK = """\
---
apiVersion: imgpkg.carvel.dev/v1alpha1
bundle:
  image: IMAGE
  tag: v1
kind: BundleLock
"""
BUNDLE = {"b/.imgpkg/images.yml": LOCK, "b/config.yml": "a: 1\n", "b/sub/more.yml": "b: 2\n"}
PLAIN = {"f/a.txt": "a\n", "f/sub/b.txt": "b\n", "f/.git/config": "x\n"}


def _images(scene: Scene) -> None:
    """Put images, an index and bundles in place, and note their digests by name."""
    stores = scene.stores
    image = put_image(scene.store("image"), file_layer("app", "app"), file_layer("more", "more"), tag="v1")
    other = put_image(scene.store("image"), file_layer("other", "other"), tag="v2")
    index = put_index(
        scene.store("index"), [put_image(scene.store("index"), file_layer("x", a)) for a in "ab"], tag="v1"
    )
    inner = put_bundle(stores, scene.repository("inner").tagged("v1"), [scene.repository("image").at(image.digest)])
    references = [scene.repository("inner").at(inner.digest), scene.repository("image").at(other.digest)]
    outer = put_bundle(stores, scene.repository("outer").tagged("v1"), references)
    named = {"image": image, "other": other, "index": index, "inner": inner, "outer": outer}
    scene.digests.update({name: manifest.digest for name, manifest in named.items()})


# What is recorded goes by the name of the function.
images = _images


def _copied_onto_itself(scene: Scene) -> None:
    scene.source = scene.name
    _images(scene)


def _signed(scene: Scene) -> None:
    _images(scene)
    store = scene.store("image")
    put_cosign(store, store.read_manifest(store.resolve("v1")))


def _world(scene: Scene) -> None:
    world = make_world(scene.stores, scene.repository)
    scene.digests.update({name: str(image.digest) for name, image in world.images.items()})


def _link(scene: Scene) -> None:
    scene.write(PLAIN)
    os.symlink("a.txt", scene.directory / "f/link")


def _push() -> list[Case]:
    cases = Cases("imgpkg", "push", "push")
    cases.add(
        "-b {own}/app -f b",
        "-b {own}/app:1.0 -f b",
        "--bundle {own}/app:1.0 --file b --tty",
        "-b {own}/app -f b --json",
        "-b {own}/app -f b --lock-output lock.yml",
        "-b {own}/app:v3 -f b --lock-output lock.yml --tty",
        "-b {own}/app -f b -f f",
        "-b {own}/app -f f -f b",
        "-b {own}/app -f b/config.yml",
        "-b {own}/app -f f",
        "-b {own}/app -f b/.imgpkg",
        "-b {own}/app -f .",
        "-b {own}/app -f b -f b",
        "-i {own}/app -f f",
        "-i {own}/app -f f --tty",
        "-i {own}/app -f f --json",
        "-i {own}/app:x -f f/a.txt",
        "-i {own}/app -f f/a.txt -f f/sub",
        "-i {own}/app -f f -f f/sub",
        "-i {own}/app -f f/sub -f f/sub",
        "-i {own}/app -f b",
        "-i {own}/app -f f --lock-output lock.yml",
        "-i {own}/app -f f --file-exclusion sub",
        "-i {own}/app -f f --file-exclusion sub/b.txt --file-exclusion a.txt",
        "-i {own}/app -f f --file-exclusion .git,sub",
        "-i {own}/app -f f --file-exclusion=",
        "-i {own}/app -f f --preserve-permissions",
        "-b {own}/app -f b --preserve-permissions",
        "-i {own}/app -f f -l a=b",
        "-i {own}/app -f f --labels a=b,c=d",
        "-i {own}/app -f f -l a=b -l c=d=e",
        "-i {own}/app -f f -l a",
        "-i {own}/app -f f -l =b",
        "-i {own}/app -f f -l a=",
        "-b {own}/app -f b -l dev.carvel.imgpkg.bundle=x",
        "-i {own}/app -f f -l dev.carvel.imgpkg.bundle=x",
        "-b {own}/app -f b -l é=ü",
        "",
        "-f f",
        "-i {own}/app",
        "-b {own}/app",
        "-b {own}/app -i {own}/app -f b",
        "-i {own}/app -f nowhere",
        "-i {own}/app -f f -f nowhere",
        "-i {own}/App -f f",
        "-i {own}/app: -f f",
        "-i {own}/app@sha256:aaaa -f f",
        f"-i {{own}}/app@sha256:{'a' * 64} -f f",
        f"-b {{own}}/app:x@sha256:{'a' * 64} -f b",
        "-i {own}/app:x:y -f f",
        "-i {own}/app -f f --nonsense",
        "-i {own}/app -f f rest",
        "-i 127.0.0.1:1/app -f f --registry-retry-count 1",
        "-i {own}/app -f f --registry-username u --registry-password p",
        "-i {own}/app -f f --registry-anon",
        "-i {own}/app -f f --registry-response-header-timeout 5s",
        "-i {own}/app -f f --registry-response-header-timeout 5",
        "-i {own}/app -f f --registry-retry-count x",
        "-i {own}/app -f f --registry-ca-cert-path nowhere.pem",
        "-i {own}/app -f f --registry-ca-cert-path f/a.txt",
        files={**BUNDLE, **PLAIN},
    )
    two = {**BUNDLE, "c/.imgpkg/images.yml": LOCK}
    cases.add("-b {own}/app -f b -f c", files=two)
    cases.add("-b {own}/app -f b", files={**BUNDLE, "b/sub/.imgpkg/images.yml": LOCK})
    cases.add("-b {own}/app -f d", "-i {own}/app -f d", files={"d/sub/.imgpkg/images.yml": LOCK})
    cases.add("-b {own}/app -f d", files={"d/.imgpkg/bundle.yml": "a: 1\n"})
    cases.add("-b {own}/app -f d", files={"d/.imgpkg": "a file\n"})
    for number, content in enumerate(("", "a: [", "kind: Other\n", LOCK.replace("images: []", "images: 1"))):
        cases.add(f"-b {{own}}/app{number} -f b", files={**BUNDLE, "b/.imgpkg/images.yml": content})
    for image in ("nginx", "nginx:1", f"nginx@sha256:{'a' * 64}", f"nginx:1@sha256:{'a' * 64}", "x@sha256:aa", "''"):
        content = LOCK.replace("[]", f"[{{image: {image}}}]")
        cases.add("-b {own}/app -f b", files={**BUNDLE, "b/.imgpkg/images.yml": content})
    cases.add("-i {own}/app -f f", "-i {own}/app -f f --file-exclusion link", set_up=_link)
    return cases.found


def _pull() -> list[Case]:
    cases = Cases("imgpkg", "pull", "pull")
    cases.add(
        "-b {prefix}/outer:v1 -o out",
        "-b {prefix}/outer:v1 -o out --tty",
        "-b {prefix}/outer:v1 -o out --json",
        "-b {prefix}/outer@{outer} -o out",
        "-b {prefix}/outer:other@{outer} -o out",
        "-b {prefix}/outer -o out",
        "-b {prefix}/outer:v1 -o out -r",
        "-b {prefix}/outer:v1 -o out -r --tty",
        "-b {prefix}/outer:v1 -o out --recursive --json",
        "-b {prefix}/inner:v1 -o deep/er/out",
        "-b {prefix}/inner:v1 -o out/",
        "-b {prefix}/inner:v1 -o ./out --tty",
        "-b {prefix}/inner:v1",
        "-b {prefix}/inner:v1 -o .",
        "-b {prefix}/inner:v1 -o ..",
        "-b {prefix}/inner:v1 -o /",
        "-b {prefix}/inner:v1 -o ''",
        "-b {prefix}/image:v1 -o out",
        "-b {prefix}/index:v1 -o out",
        "-b {prefix}/nowhere:v1 -o out",
        "-b {prefix}/outer:v9 -o out",
        "-i {prefix}/image:v1 -o out",
        "-i {prefix}/image:v1 -o out --tty",
        "-i {prefix}/image:v1 -o out --json",
        "-i {prefix}/image@{image} -o out",
        "-i {prefix}/image:v1 -o out -r",
        "-i {prefix}/inner:v1 -o out",
        "-i {prefix}/inner:v1 -o out --image-is-bundle-check=false",
        "-i {prefix}/inner:v1 -o out --image-is-bundle-check=false --tty",
        "-i {prefix}/inner:v1 -o out --image-is-bundle-check=false -r",
        "-i {prefix}/image:v1 -o out --image-is-bundle-check=false",
        "-i {prefix}/image:v1 -o out --image-is-bundle-check=true",
        "-b {prefix}/inner:v1 -o out --image-is-bundle-check=false",
        "-b {prefix}/inner:v1 -o out --image-is-bundle-check",
        "-i {prefix}/index:v1 -o out",
        "-i {prefix}/index:v1 -o out --tty",
        "-i {prefix}/nowhere -o out",
        "-i {prefix}/image:v9 -o out",
        f"-i {{prefix}}/image@sha256:{'a' * 64} -o out",
        "-i {prefix}/Image -o out",
        "-i {prefix}/image:v1 -b {prefix}/inner:v1 -o out",
        "-o out",
        "",
        "-i {prefix}/image:v1 -o out --lock lock.yml",
        "--lock nowhere.yml -o out",
        "-i 127.0.0.1:1/app -o out --registry-retry-count 1",
        set_up=_images,
    )
    cases.add("-b {prefix}/inner:v1 -o old", "-i {prefix}/image:v1 -o old", set_up=_images, files={"old/x": "x\n"})
    lock = {"lock.yml": BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer@{outer}")}
    cases.add(
        "--lock lock.yml -o out",
        "--lock lock.yml -o out --tty",
        "--lock lock.yml -o out -r --tty",
        "--lock lock.yml -o out --json",
        set_up=_images,
        files=lock,
    )
    for content in (
        LOCK,
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/image@{image}"),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer:v1"),
        BUNDLE_LOCK.replace("IMAGE", "''"),
        "",
        "a: [",
        BUNDLE_LOCK.replace("BundleLock", "Other"),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer@{outer}") + "more: 1\n",
    ):
        cases.add("--lock lock.yml -o out", set_up=_images, files={"lock.yml": content})
    cases.add("-b {prefix}/outer:v1 -o out -r --tty", "-b {prefix}/outer:v1 -o out -r", set_up=_world)
    return cases.found


def _copy() -> list[Case]:
    cases = Cases("imgpkg", "copy", "copy")
    cases.add(
        "-b {prefix}/outer:v1 --to-repo {own}/to",
        "-b {prefix}/outer:v1 --to-repo {own}/to --tty",
        "-b {prefix}/outer:v1 --to-repo {own}/to --json",
        "-b {prefix}/outer@{outer} --to-repo {own}/to",
        "-b {prefix}/outer --to-repo {own}/to",
        "-b {prefix}/outer:v1 --to-repo {own}/to --lock-output lock.yml",
        "-b {prefix}/outer@{outer} --to-repo {own}/to --lock-output lock.yml",
        "-b {prefix}/outer:v1 --to-repo {own}/to --repo-based-tags",
        "-b {prefix}/outer:v1 --to-repo {own}/to --concurrency 1",
        "-b {prefix}/outer:v1 --to-repo {own}/to --concurrency 0",
        "-b {prefix}/outer:v1 --to-repo {own}/to:tag",
        "-b {prefix}/outer:v1 --to-repo {own}/To",
        "-b {prefix}/outer:v1 --to-tar out.tar",
        "-b {prefix}/outer:v1 --to-tar out.tar --tty",
        "-b {prefix}/outer:v1 --to-tar out.tar --json",
        "-b {prefix}/outer:v1 --to-tar out.tar --lock-output lock.yml",
        "-b {prefix}/outer:v1 --to-tar nowhere/out.tar",
        "-b {prefix}/outer:v1 --to-tar out.tar --resume",
        "-b {prefix}/outer:v1 --to-tar out.tar --to-repo {own}/to",
        "-b {prefix}/outer:v1",
        "-b {prefix}/image:v1 --to-repo {own}/to",
        "-b {prefix}/image:v1 --to-tar out.tar",
        "-b {prefix}/index:v1 --to-repo {own}/to",
        "-b {prefix}/nowhere --to-repo {own}/to",
        "-b {prefix}/outer:v9 --to-tar out.tar",
        "-i {prefix}/image:v1 --to-repo {own}/to",
        "-i {prefix}/image:v1 --to-repo {own}/to --tty",
        "-i {prefix}/image:v1 --to-repo {own}/to --json",
        "-i {prefix}/image@{image} --to-repo {own}/to",
        "-i {prefix}/image:v1 --to-repo {own}/to --lock-output lock.yml",
        "-i {prefix}/image:v1 --to-repo {own}/to --repo-based-tags",
        "-i {prefix}/image:v1 --to-tar out.tar",
        "-i {prefix}/image:v1 --to-tar out.tar --tty",
        "-i {prefix}/index:v1 --to-repo {own}/to",
        "-i {prefix}/index:v1 --to-repo {own}/to --tty",
        "-i {prefix}/index:v1 --to-tar out.tar",
        "-i {prefix}/inner:v1 --to-repo {own}/to",
        "-i {prefix}/inner:v1 --to-tar out.tar",
        "-i {prefix}/nowhere --to-repo {own}/to",
        "-i {prefix}/image:v1 -b {prefix}/inner:v1 --to-repo {own}/to",
        "-i {prefix}/image:v1 --to-repo {own}/to --include-non-distributable-layers",
        "-i {prefix}/image:v1 --to-repo {own}/to --cosign-signatures",
        "-b {prefix}/outer:v1 --to-repo {own}/to --cosign-signatures",
        "--to-repo {own}/to",
        "",
        "--tar nowhere.tar --to-repo {own}/to",
        "--lock nowhere.yml --to-repo {own}/to",
        set_up=_images,
    )
    cases.add("-b {prefix}/outer:v1 --to-repo {prefix}/outer", set_up=_copied_onto_itself)
    for content in (
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer@{outer}"),
        LOCK.replace("[]", "[{image: '{prefix}/image@{image}'}, {image: '{prefix}/index@{index}'}]"),
        LOCK.replace("[]", "[{image: '{prefix}/inner@{inner}'}]"),
        LOCK,
        "a: [",
        LOCK.replace("[]", "[{image: '{prefix}/image@{image}', annotations: {a: b}}]"),
    ):
        cases.add(
            "--lock lock.yml --to-repo {own}/to",
            "--lock lock.yml --to-repo {own}/to --tty --lock-output new.yml",
            "--lock lock.yml --to-tar out.tar",
            set_up=_images,
            files={"lock.yml": content},
        )
    cases.add(
        "-i {prefix}/image:v1 --to-repo {own}/to --cosign-signatures",
        "-i {prefix}/image:v1 --to-repo {own}/to --cosign-signatures --tty",
        "-b {prefix}/outer:v1 --to-repo {own}/to --cosign-signatures --tty",
        "-b {prefix}/outer:v1 --to-tar out.tar --cosign-signatures",
        set_up=_signed,
    )
    cases.add(
        "-b {prefix}/outer:v1 --to-repo {own}/to",
        "-b {prefix}/outer:v1 --to-repo {own}/to --tty",
        "-b {prefix}/outer:v1 --to-tar out.tar",
        "-b {prefix}/outer:v1 --to-tar out.tar --include-non-distributable-layers",
        "-b {prefix}/outer:v1 --to-repo {own}/to --cosign-signatures --repo-based-tags",
        set_up=_world,
    )
    return cases.found


def _describe() -> list[Case]:
    cases = Cases("imgpkg", "describe", "describe")
    cases.add(
        "-b {prefix}/outer:v1",
        "-b {prefix}/outer:v1 --tty",
        "-b {prefix}/outer:v1 --json",
        "-b {prefix}/outer@{outer}",
        "-b {prefix}/outer:v1 -o text",
        "-b {prefix}/outer:v1 -o yaml",
        "-b {prefix}/outer:v1 --output-type yaml --layers=false",
        "-b {prefix}/outer:v1 --layers=false",
        "-b {prefix}/outer:v1 -o json",
        "-b {prefix}/outer:v1 --cosign-artifacts=false",
        "-b {prefix}/outer:v1 --concurrency 1",
        "-b {prefix}/inner:v1",
        "-b {prefix}/inner:v1 -o yaml",
        "-b {prefix}/image:v1",
        "-b {prefix}/index:v1",
        "-b {prefix}/nowhere",
        "",
        "-i {prefix}/image:v1",
        set_up=_signed,
    )
    cases.add("-b {prefix}/outer:v1", "-b {prefix}/outer:v1 -o yaml", "-b {prefix}/outer:v1 --tty", set_up=_world)
    return cases.found


def _tag() -> list[Case]:
    listed, resolved = Cases("imgpkg", "tag-list", "tag", "list"), Cases("imgpkg", "tag-resolve", "tag", "resolve")
    listed.add(
        "-i {prefix}/image",
        "-i {prefix}/image --tty",
        "-i {prefix}/image --json",
        "-i {prefix}/image --digests",
        "-i {prefix}/image --digests --json",
        "-i {prefix}/image --digests --tty",
        "-i {prefix}/outer --imgpkg-internal-tags",
        "-i {prefix}/outer --imgpkg-internal-tags=false",
        "-i {prefix}/outer --digests --imgpkg-internal-tags",
        "-i {prefix}/nowhere",
        "-i {prefix}/image:v1",
        "-i {prefix}/image@{image}",
        "-i {prefix}/Image",
        "",
        "-i {prefix}/image --column name",
        "-i {prefix}/image --column digest --digests",
        "-i {prefix}/image --column nonsense",
        set_up=_signed,
    )
    resolved.add(
        "-i {prefix}/image:v1",
        "-i {prefix}/image:v1 --tty",
        "-i {prefix}/image:v1 --json",
        "-i {prefix}/image@{image}",
        "-i {prefix}/image",
        "-i {prefix}/image:v9",
        "-i {prefix}/nowhere:v1",
        "-i {prefix}/index:v1",
        "",
        set_up=_images,
    )
    return [*listed.found, *resolved.found]


def _general() -> list[Case]:
    """Return what is common to all commands: how arguments are parsed, what help and version are."""
    cases = Cases("imgpkg", "general")
    cases.add(
        "version",
        "version --tty",
        "version --json",
        "version --json=false",
        "version --json=T",
        "version --json --tty",
        "version --column a,b",
        "version --color=false",
        "version -y",
        "version -y=false --yes",
        "version rest",
        "version rest --nonsense",
        "version --nonsense rest",
        "version -- --nonsense",
        "version --nonsense=1",
        "version -z",
        "version -yz",
        "version -y=maybe",
        "version --tty=maybe",
        "version --tty maybe",
        "version --=x",
        "version ---",
        "version -",
        "version ''",
        "version --column",
        "version -é",
        "--tty version",
        "--tty=1 version --tty=0",
        "--column version version",
        "--version",
        "-v",
        "--tty --version",
        "push --version",
        "nonsense",
        "nonsense --tty",
        "nonsense --nonsense",
        "nonsense push",
        "-z",
        "--nonsense",
        "-- version",
        "tag",
        "tag --tty",
        "tag nonsense",
        "tag nonsense --nonsense",
        "tag --nonsense list",
        "tag ls",
        "tag ls rest",
        "tag list -i",
        "tag list --image",
        "tag list -i '' -i x/y:z:1",
        "tag resolve -i https://{host}/x",
        "tag list -i https://{host}/x",
        "tag list --digests=2",
        "push help",
        "push -f",
        "push -f a -i",
        "push -l",
        "push -l ''",
        "push -l a,b=c,d=e",
        "push -l =",
        "push --registry-retry-count=",
        "push --registry-retry-count=1.5",
        "push --registry-retry-count=+3",
        "push --registry-retry-count=99999999999999999999",
        "push --registry-response-header-timeout=",
        "push --registry-response-header-timeout=5d",
        "push --registry-response-header-timeout=.s",
        "push --registry-response-header-timeout=1s1",
        "push --registry-response-header-timeout=-1h",
        "push --registry-response-header-timeout=0",
        "push --registry-anon=yes",
        "push --registry-nonsense",
        "push --no-preserve-permissions",
        "push --preserve-permissions=x",
        "push -b x/y -i x/z -l dev.carvel.imgpkg.bundle=",
        "push --registry-ca-cert-path nowhere.pem",
        "push --file-exclude-defaults a",
        "pull",
        "pull rest",
        "pull -o x rest",
        "pull -i x/y --lock z",
        "pull -o=/",
        "pull -o ./",
        "pull -o .. -i x/y -r",
        "pull -o x -b x/y --image-is-bundle-check=no",
        "copy",
        "copy rest",
        "copy --concurrency x",
        "describe",
        "describe rest",
        "describe -b",
        "completion",
        "completion nonsense",
        "completion bash zsh",
    )
    return cases.found


def _push_more() -> list[Case]:
    cases = Cases("imgpkg", "push-more", "push")
    cases.add(
        "-i {own}/a -f f",
        "-i {own}/app. -f f",
        "-i {own}//app -f f",
        "-i {own}/app/ -f f",
        "-i {own}/app:.x -f f",
        "-i {own}/app:x/y -f f",
        "-i {own}/app:ü -f f",
        f"-i {{own}}/app:{'x' * 129} -f f",
        f"-i {{own}}/{'x' * 256} -f f",
        "-i https://{own}/app -f f",
        "-i '{own}/app ' -f f",
        "-i 'a b/app' -f f",
        "-i : -f f",
        "-i / -f f",
        "-b {own}/app: -f b --lock-output lock.yml",
        "-b {own}/app -f b --lock-output old.yml",
        "-b {own}/app -f b --lock-output nowhere/lock.yml",
        "-b {own}/app -f b --lock-output b",
        "-i {own}/app -f f --lock-output ''",
        "-i {own}/app --lock-output lock.yml",
        "-b {own}/app --tty",
        "-i {own}/app --tty",
        "-i {own}/app -f ''",
        "-i {own}/app -f f/",
        "-b {own}/app -f b/",
        "-b {own}/app -f ./b",
        "-b {own}/app -f b/.",
        "-b {own}/app -f f/../b",
        "-b {own}/app -f b/.imgpkg -f b",
        "-b {own}/app -f b/.imgpkg/images.yml",
        "-b {own}/app -f b -f b/config.yml",
        "-b {own}/app -f b -f b/.imgpkg",
        "-i {own}/app -f b/.imgpkg",
        "-i {own}/app -f b --file-exclusion .imgpkg",
        "-i {own}/app -f b -f b",
        "-b {own}/app -f b --file-exclusion config.yml",
        "-b {own}/app -f b,f",
        "-i {own}/app -f f -f g",
        "-i {own}/app -f f/a.txt -f g/a.txt",
        "-i {own}/app -f f --file-exclusion a.txt,sub",
        "-i {own}/app -f f --file-exclusion ./a.txt",
        "-i {own}/app -f f --file-exclusion sub/",
        "-i {own}/app -f f --file-exclusion .",
        "-i {own}/app -f f/a.txt --file-exclusion a.txt",
        "-i {own}/app -f f --file-exclude-defaults sub",
        "-i {own}/app -f f --file-exclude-defaults sub --file-exclusion a.txt --json",
        "-i {own}/app -f f -l a=1 -l a=2",
        "-i {own}/app -f f -l '\"a=b,c\"'",
        "-i {own}/app -f f -l a=b -l ''",
        "-i {own}/app -f f/a.txt/",
        "-i {own}/app -f f/a.txt/x",
        "-i {own}/app -f f --registry-ca-cert-path f",
        "-i {own}/app -f f --registry-username u",
        "-i {own}/app -f f --registry-password p",
        "-i {own}/app -f f --registry-token t",
        "-i {own}/app -f f --registry-retry-count 0",
        "-i {own}/app -f f --registry-verify-certs=false --registry-insecure",
        files={**BUNDLE, **PLAIN, "g/a.txt": "a\n", "old.yml": "old\n"},
    )
    metadata = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: Bundle\nmetadata: {name: 1}\n"
    cases.add("-b {own}/app -f b", files={**BUNDLE, "b/.imgpkg/bundle.yml": metadata})
    cases.add("-b {own}/app -f b", "-i {own}/app -f b", files={**BUNDLE, "b/.imgpkg/bundle.yml": "a: ["})
    cases.add("-i {own}/app -f d", files={"d/.imgpkg/bundle.yml": "a: 1\n"})
    cases.add("-i {own}/app -f d", files={"d/.imgpkg": "a file\n"})
    cases.add("-i {own}/app -f d", "-b {own}/app -f d", files={"d/.imgpkg/images.yml/x": "x\n"})
    cases.add(
        "-i {own}/app -f f -f g",
        files={"f/.git/config": "x\n", "g/.git/config": "x\n", "f/a.txt": "a\n", "g/b.txt": "b\n"},
    )
    for content in ("[]", "", "null", "~"):
        cases.add("-b {own}/app -f b", files={**BUNDLE, "b/.imgpkg/images.yml": LOCK.replace("[]", content)})
    image = f"nginx@sha256:{'a' * 64}"
    for content in (
        LOCK.replace("[]", f"[{{image: {image}, annotations: {{a: b}}}}]"),
        LOCK.replace("[]", f"[{{image: {image}}}, {{image: {image}}}]"),
        LOCK.replace("[]", f"[{{image: localhost/{image}}}]"),
        LOCK.replace("[]", f"[{{image: {image}, annotations: null}}]"),
        LOCK.replace("images: []\n", ""),
        f"{LOCK}---\n",
        LOCK.removeprefix("---\n"),
        f"# a comment\n{LOCK}",
    ):
        cases.add("-b {own}/app -f b", files={**BUNDLE, "b/.imgpkg/images.yml": content})
    return cases.found


def _pull_more() -> list[Case]:
    cases = Cases("imgpkg", "pull-more", "pull")
    cases.add(
        "-b {prefix}/outer: -o out",
        "-b {prefix}/image:v1: -o out",
        "-b https://{prefix}/image:v1 -o out",
        "-i '' -b '' -o out",
        "-i '{prefix}/image:v1 ' -o out",
        "-i {prefix}/image@sha256:aa -o out",
        f"-i {{prefix}}/image@sha512:{'a' * 128} -o out",
        "-i {prefix}/image:v1@{image} -o out",
        "-i {prefix}/image:v1 -o file",
        "-i {prefix}/image:v1 -o file/x",
        "-i {prefix}/inner@{inner} -o out",
        "-i {prefix}/inner@{inner} -o out --image-is-bundle-check=0 --json",
        "-b {prefix}/inner@{inner} -o out --json",
        "-b {prefix}/index@{index} -o out -r",
        "-b {prefix}/image@{image} -o out -r",
        "-i {prefix}/index@{index} -o out --image-is-bundle-check=false",
        "-b {prefix}/inner:v1 -b {prefix}/outer:v1 -o out --tty",
        "-b {prefix}/inner:v1 -o a -o b",
        "-b {prefix}/inner:v1 -o out --registry-ca-cert-path nowhere",
        "-b {prefix}/inner:v1 -o out --registry-ca-cert-path file,nowhere",
        "--lock '' -o out",
        "--lock file -o out",
        "--lock . -o out",
        set_up=_images,
        files={"file": "x\n"},
    )
    lock = {"lock.yml": BUNDLE_LOCK.replace("IMAGE", "{prefix}/inner@{inner}")}
    cases.add(
        "--lock lock.yml -o out --image-is-bundle-check=false --tty",
        "--lock lock.yml -o out --image-is-bundle-check=true --tty",
        "--lock lock.yml -b {prefix}/inner:v1 -o out",
        "--lock lock.yml -o .",
        set_up=_images,
        files=lock,
    )
    for content in (
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/inner:v1@{inner}"),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/inner@{inner}").replace("  tag: v1\n", ""),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/inner@{inner}").replace("v1alpha1", "v1"),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/inner@{inner}").replace("  tag: v1", "  other: v1"),
        BUNDLE_LOCK.replace("  image: IMAGE\n", ""),
        "- a\n",
        "a\n",
        "{}\n",
    ):
        cases.add("--lock lock.yml -o out", set_up=_images, files={"lock.yml": content})
    cases.add(
        "-b {prefix}/outer:v1 -o out -r --json",
        "-b {prefix}/outer:v1 -o out --json",
        "-b {prefix}/middle -o out",
        "-b {prefix}/inner@{inner} -o out -r --tty",
        "-i {prefix}/odd@{odd} -o out --tty",
        "-i {prefix}/multi@{index} -o out",
        set_up=_world,
    )
    return cases.found


def _tag_more() -> list[Case]:
    listed, resolved = (
        Cases("imgpkg", "tag-more-list", "tag", "list"),
        Cases("imgpkg", "tag-more-resolve", "tag", "resolve"),
    )
    listed.add(
        "-i {prefix}/image --column Name --digests",
        "-i {prefix}/image --column name,digest",
        "-i {prefix}/image --column digest,name --digests --tty",
        "-i {prefix}/image --column digest --json",
        "-i {prefix}/image --column name --column digest --json",
        "-i {prefix}/image --column ' Name!'",
        "-i {prefix}/inner --digests --tty --imgpkg-internal-tags",
        "-i {prefix}/nowhere --digests",
        "-i {prefix}/nowhere --tty",
        "-i {prefix}/image: --digests=true",
        "-i {prefix}/image:x:y",
        "-i nginx:1:2",
        "rest -i {prefix}/image",
        "-i {prefix}/image --registry-ca-cert-path nowhere",
        set_up=_signed,
    )
    resolved.add(
        "-i {prefix}/image:",
        "-i {prefix}/image:v1@{image}",
        f"-i {{prefix}}/image@sha256:{'a' * 64}",
        "-i {prefix}/image@sha256:a",
        "-i {prefix}/image:v9 --tty",
        "-i {prefix}/index:v1 --tty",
        "-i {prefix}/outer:v1 --column x",
        "-i {prefix}/outer:v1 rest",
        "-i https://{prefix}/outer:v1",
        "-i 127.0.0.1:1/app/x --registry-retry-count 1 rest",
        set_up=_images,
    )
    return [*listed.found, *resolved.found]


def _at(scene: Scene, name: str) -> Reference:
    return scene.repository(name).at(Digest.parse(scene.digests[name]))


def _relocated(scene: Scene) -> None:
    """Put a bundle of bundles, signed, beside all its images."""
    _signed(scene)
    store = scene.store("outer")
    put_cosign(store, store.read_manifest("v1"))
    nested = scene.store("inner")
    put_cosign(nested, nested.read_manifest("v1"), "att")
    source = scene.repository("outer").tagged("v1")
    copy(CopyRequest(source=source, destination=scene.repository("relocated"), cosign=True), scene.stores)


def _many(scene: Scene) -> None:
    """Put a bundle in place that nests two others and an index, with metadata and annotations of several lines."""
    _images(scene)
    stores, image = scene.stores, _at(scene, "image")
    second = put_bundle(stores, scene.repository("second").tagged("v1"), [image])
    odd = put_image(scene.store("odd"), file_layer("odd", "odd"), platform={"os": "linux", "architecture": "arm64"})
    index = put_index(scene.store("odd"), [odd], architectures=["arm64"], tag="v1")
    references = [
        _at(scene, "inner"),
        scene.repository("second").at(second.digest),
        _at(scene, "index"),
    ]
    many = put_bundle(stores, scene.repository("many").tagged("v1"), references)
    arm = put_bundle(stores, scene.repository("arm").tagged("v1"), [scene.repository("odd").at(index.digest)])
    gone = scene.repository("gone").at(Digest.parse("sha256:" + "0" * 64))
    broken = put_bundle(stores, scene.repository("broken").tagged("v1"), [gone])
    around = put_bundle(stores, scene.repository("around").tagged("v1"), [scene.repository("broken").at(broken.digest)])
    scene.digests.update({"many": many.digest, "arm": arm.digest, "around": around.digest})


def _more_copies() -> list[Case]:
    cases = Cases("imgpkg", "copymore", "copy")
    cases.add(
        "-b {prefix}/relocated:v1 --to-repo {own}/to --lock-output lock.yml",
        "-b {prefix}/relocated:v1 --to-repo {own}/to --repo-based-tags",
        "-b {prefix}/relocated:v1 --to-repo {own}/to --cosign-signatures",
        "-b {prefix}/relocated:v1 --to-tar out.tar --cosign-signatures",
        "-b {prefix}/relocated:v1 --to-tar out.tar --concurrency 1 --tty",
        "-i {prefix}/image:v1 --to-repo {own}/to --cosign-signatures --lock-output lock.yml",
        "-i {prefix}/index:v1 --to-repo {own}/to --cosign-signatures --lock-output lock.yml",
        "-i {prefix}/image@{image} --to-repo {own}/to --lock-output lock.yml",
        "-i {prefix}/image:other@{image} --to-repo {own}/to --lock-output lock.yml",
        "-i {prefix}/image --to-repo {own}/to",
        set_up=_relocated,
    )
    cases.add(
        "-b {prefix}/many:v1 --to-repo {own}/to --tty",
        "-b {prefix}/many:v1 --to-tar out.tar",
        "-b {prefix}/arm:v1 --to-repo {own}/to",
        "-b {prefix}/broken:v1 --to-repo {own}/to",
        "-b {prefix}/broken:v1 --to-tar out.tar",
        "-b {prefix}/around:v1 --to-repo {own}/to",
        set_up=_many,
    )
    cases.add(
        "-b {prefix}/Outer --to-repo {own}/to",
        "-i {prefix}/image:x:y --to-repo {own}/to",
        "-i {prefix}/image@sha256:aa --to-repo {own}/to",
        f"-i {{prefix}}/image@sha256:{'a' * 64} --to-repo {{own}}/to",
        "-i '' --to-repo {own}/to",
        "-i {prefix}/image:v1 --to-repo ''",
        "-i {prefix}/image:v1 --to-repo x",
        "-i {prefix}/image:v1 --to-repo {own}/to@{image}",
        "-i {prefix}/image:v1 --to-repo '{own}/to with space'",
        "-i {prefix}/image:v1 --to-repo {own}/to --resume",
        "-i {prefix}/image:v1 --to-tar d",
        "-i {prefix}/image:v1 --to-tar text.tar",
        "-i {prefix}/image:v1 --to-tar text.tar --resume",
        "-i {prefix}/image:v1 --to-tar out.tar --resume --tty",
        "-i {prefix}/image:v1 --to-tar d/e/out.tar",
        "-i {prefix}/image:v1 --to-tar out.tar --include-non-distributable-layers --tty",
        "-i {prefix}/image:v1 --to-tar out.tar --include-non-distributable-layers",
        "-i {prefix}/image:v1 --to-repo {own}/to --include-non-distributable-layers --tty",
        "--tar text.tar --to-repo {own}/to",
        "--tar empty.tar --to-repo {own}/to",
        "--tar d --to-repo {own}/to",
        "--tar text.tar --to-tar out.tar",
        "--lock d --to-repo {own}/to",
        "--lock text.tar --to-repo {own}/to",
        "--lock empty.tar --to-repo {own}/to",
        "-b {prefix}/outer:v1 --to-repo {own}/to --lock-output nowhere/lock.yml",
        "-b {prefix}/outer:v1 --to-repo {own}/to --lock-output d",
        "-b {prefix}/outer:v1 --to-repo {own}/to --lock-output text.tar",
        "-b {prefix}/outer:v1 --to-repo 127.0.0.1:1/to --registry-retry-count 1",
        "-b 127.0.0.1:1/outer:v1 --to-repo {own}/to --registry-retry-count 1",
        set_up=_images,
        files={"text.tar": "some text\n", "empty.tar": "", "d/x": "x\n"},
    )
    for content in (
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/image@{image}"),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer:v1"),
        BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer@{outer}").replace("  tag: v1\n", ""),
        BUNDLE_LOCK.replace("BundleLock", "Other"),
        BUNDLE_LOCK.replace("v1alpha1", "v2").replace("IMAGE", "{prefix}/outer@{outer}"),
        LOCK.replace("[]", "[{image: '{prefix}/image:v1'}]"),
        LOCK.replace("[]", "[{image: '{prefix}/other@{image}'}]"),
        LOCK.replace(
            "[]", "[{image: '{prefix}/image@{image}'}, {image: '{prefix}/image@{image}', annotations: {a: b}}]"
        ),
    ):
        cases.add(
            "--lock lock.yml --to-repo {own}/to --lock-output new.yml", set_up=_images, files={"lock.yml": content}
        )
    cases.add(
        "-b {prefix}/outer:v1 --to-repo {own}/to --include-non-distributable-layers --concurrency 1",
        "-i {prefix}/windows --to-repo {own}/to --tty",
        "-b {prefix}/outer:v1 --to-tar out.tar --tty",
        "-b {prefix}/outer:v1 --to-tar out.tar --cosign-signatures",
        set_up=_world,
    )
    return cases.found


def _more_descriptions() -> list[Case]:
    cases = Cases("imgpkg", "describemore", "describe")
    cases.add(
        "-b {prefix}/relocated:v1",
        "-b {prefix}/relocated:v1 --tty",
        "-b {prefix}/relocated:v1 --json",
        "-b {prefix}/relocated:v1 -o yaml",
        "-b {prefix}/relocated:v1 -o yaml --json",
        "-b {prefix}/relocated:v1 -o yaml --cosign-artifacts=false --layers=false",
        "-b {prefix}/relocated:v1 --layers=false --json",
        "-b {prefix}/outer:v1 -o yaml",
        set_up=_relocated,
    )
    cases.add(
        "-b {prefix}/many:v1",
        "-b {prefix}/many:v1 -o yaml",
        "-b {prefix}/arm:v1",
        "-b {prefix}/broken:v1",
        "-b {prefix}/around:v1",
        "-b {prefix}/Many",
        "-b {prefix}/many:x:y",
        f"-b {{prefix}}/many@sha256:{'a' * 64}",
        "-b {prefix}/many:v1 -o yaml -o text",
        "-b {prefix}/many:v1 --concurrency 0",
        "-b {prefix}/many:v1 --layers",
        "-b {prefix}/many:v1 --layers=x",
        "-b {prefix}/many:v1 rest",
        "-b 127.0.0.1:1/many --registry-retry-count 1",
        set_up=_many,
    )
    return cases.found


def imgpkg_cases() -> Iterator[Case]:
    """Yield all that are written down."""
    for cases in (_push, _pull, _copy, _describe, _tag, _general, _push_more, _pull_more, _tag_more):
        yield from cases()
    for cases in (_more_copies, _more_descriptions):
        yield from cases()
