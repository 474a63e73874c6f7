"""Command lines of kbld that carry images: `package`, `unpackage`, `relocate`; what commands and scalars there are."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from bundlepipe.oci.manifest import OCI_MANIFEST, Manifest
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.stores.protocol import Store
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import CopyRequest
from tests.peers.cases import Case, Cases
from tests.peers.kbld_cases import ABSENT, CONFIG, IMAGES_LOCK, images, pod
from tests.peers.scene import Scene
from tests.support.images import file_layer, put_bundle, put_bytes, put_document, put_image, put_index

APP = "{prefix}/app@{app-1.0.0}"
OTHER = "{prefix}/app@{app-2.0.0}"
MULTI = "{prefix}/app@{multi}"
_TWO = pod(APP) + f"---\n# of the other one\nimage: {OTHER}\n"


def carried(scene: Scene) -> None:
    """Put what is not so simple in place: what is foreign, nested, a bundle, in two repositories, or said twice."""
    images(scene)
    store, further = scene.store("app"), scene.store("further/app")
    foreign = put_image(store, file_layer("own", "own"), file_layer("foreign", "foreign").as_foreign())
    oci = put_image(store, file_layer("oci", "oci"), file_layer("oci", "oci"), oci=True)
    inner = put_index(store, [put_image(store, file_layer("deep", name)) for name in "ab"])
    nested = put_index(store, [inner, oci])
    artifact = _put_artifact(store)
    same = put_image(further, file_layer("app", "1.0.0"))
    lost = put_image(scene.store("lost"), file_layer("lost", "lost"), tag="v1")
    bundle = put_bundle(scene.stores, scene.repository("bundle").tagged("v1"), [scene.repository("app").at(oci.digest)])
    named = {
        "foreign": foreign,
        "oci": oci,
        "nested": nested,
        "same": same,
        "bundle": bundle,
        "lost": lost,
        "artifact": artifact,
    }
    scene.digests |= {name: str(manifest.digest) for name, manifest in named.items()}


def _put_artifact(store: Store) -> Manifest:
    """Store what has a layer, and a configuration that knows of none."""
    layer = put_bytes(store, b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    config = put_bytes(store, b'{"name":"chart"}', "application/vnd.cncf.helm.config.v1+json")
    return put_document(store, OCI_MANIFEST, {"config": config.to_json(), "layers": [layer.to_json()]})


def _tar(scene: Scene, *, exclude: bool, image: str) -> None:
    carried(scene)
    earlier, later = (ArchiveLocation(str(scene.directory / name)) for name in ("a.tar", "b.tar"))
    request = CopyRequest(source=scene.repository(image).tagged("v1"), destination=earlier)
    copy(request, scene.stores)
    copy(replace(request, destination=later, exclude=[earlier] if exclude else []), scene.stores)
    scene.keep("b.tar")


def _tar_of_imgpkg(scene: Scene) -> None:
    """Put a tar of imgpkg's beside, of a bundle and what it names."""
    _tar(scene, exclude=False, image="bundle")


def _incomplete_tar(scene: Scene) -> None:
    """Put a tar beside that leaves a layer out, since an earlier one has it."""
    _tar(scene, exclude=True, image="lost")


def _package() -> list[Case]:
    cases = Cases("kbld", "package", "package")
    cases.add(
        "-f pod.yml -o x.tar",
        "--file pod.yml --output x.tar --tty",
        "-f pod.yml -o x.tar --json",
        "-f pod.yml -o x.tar --concurrency 1",
        "-f pod.yml -o x.tar --concurrency 0",
        "-f pod.yml -o x.tar --concurrency -1",
        "-f pod.yml -o x.tar --concurrency x",
        "-f pod.yml -o x.tar --sort=false",
        "-f pod.yml -o x.tar --registry-verify-certs=false --registry-insecure",
        "-f pod.yml -o x.tar --registry-ca-cert-path nowhere.pem",
        "-f pod.yml -o nowhere/x.tar",
        "-f pod.yml -o d",
        "-f pod.yml -o old.tar",
        "-f pod.yml -o x.tar -f pod.yml",
        "-f . -o x.tar",
        "-f - -o x.tar",
        "-f pod.yml",
        "-f pod.yml -o ''",
        "",
        "-o x.tar",
        "-f nowhere.yml -o x.tar",
        "-f pod.yml -o x.tar rest",
        "-f pod.yml -o x.tar --nonsense",
        "-f pod.yml -o x.tar --lock-output lock.yml",
        "-f pod.yml -o x.tar -r {own}/r",
        "-f pod.yml -o x.tar --column image",
        set_up=carried,
        files={"pod.yml": _TWO, "d/empty.txt": "", "old.tar": "old\n"},
        stdin=pod(APP),
    )
    for image in (
        MULTI,
        "{prefix}/app@{foreign}",
        "{prefix}/app@{nested}",
        "{prefix}/app@{oci}",
        "{prefix}/bundle@{bundle}",
        "{prefix}/app@{artifact}",
        "{prefix}/app:1.0.0@{app-1.0.0}",
        "{prefix}/app:other@{app-1.0.0}",
        "{prefix}/app:1.0.0",
        "{prefix}/app",
        "nginx",
        ABSENT,
        f"library/{ABSENT}",
        f"docker.io/{ABSENT}",
        f"{{prefix}}/{ABSENT}",
        f"{{host}}/{ABSENT}",
        f"127.0.0.1:1/{ABSENT}",
        "{prefix}/app@sha256:aa",
        f"{{prefix}}/app@md5:{'a' * 64}",
        f"{{prefix}}/App@sha256:{'a' * 64}",
        "''",
        "{}",
        "null",
    ):
        cases.add("-f pod.yml -o x.tar", set_up=carried, files={"pod.yml": pod(image)})
    twice = pod(APP) + f"---\n{pod('{prefix}/further/app@{same}')}---\n{pod(f'{APP}')}"
    cases.add("-f pod.yml -o x.tar", set_up=carried, files={"pod.yml": twice})
    cases.add("-f pod.yml -o x.tar", set_up=carried, files={"pod.yml": pod("a:1") + f"---\n{pod('b@sha256:aa')}"})
    for config in (
        f"overrides: [{{image: app, newImage: '{OTHER}', preresolved: true}}]\n",
        f"overrides: [{{image: app, newImage: '{OTHER}'}}]\n",
        "overrides: [{image: app, newImage: 'app:1', preresolved: true}]\n",
        "keys: [img]\n",
        "searchRules: [{keyMatcher: {name: image}, updateStrategy: {none: {}}}]\n",
        "overrides: 1\n",
    ):
        files = {"pod.yml": pod(APP) + f"---\nimg: {OTHER}\n", "kbld.yml": CONFIG + config}
        cases.add("-f pod.yml -f kbld.yml -o x.tar", set_up=carried, files=files)
    lock = f"{IMAGES_LOCK}- image: {OTHER}\n  annotations:\n    kbld.carvel.dev/id: app\n"
    cases.add("-f images.yml -o x.tar", set_up=carried, files={"images.yml": lock})
    cases.add("-f pod.yml -o x.tar", set_up=carried, files={"pod.yml": "a: [\n"})
    return cases.found


def _unpackage() -> list[Case]:
    cases = Cases("kbld", "unpackage")
    files = {"pod.yml": _TWO, "more.yml": pod(MULTI), "text.tar": "no tar\n", "kbld.yml": CONFIG + "keys: [img]\n"}
    package = "package -f pod.yml -o x.tar && unpackage -i x.tar -f pod.yml"
    cases.add(
        f"{package} -r {{own}}/r",
        f"{package} --repository {{own}}/r --tty",
        f"{package} -r {{own}}/r --json",
        f"{package} -r {{own}}/r --lock-output lock.yml",
        f"{package} -r {{own}}/r --lock-output nowhere/lock.yml",
        f"{package} -r {{own}}/r --lock-output d",
        f"{package} -r {{own}}/r --concurrency 1",
        f"{package} -r {{own}}/r --concurrency x",
        f"{package} -r {{own}}/r -f kbld.yml --lock-output lock.yml",
        f"{package} -r {{own}}/r && unpackage -i x.tar -r {{own}}/r --lock-output lock.yml",
        f"{package} -r {{own}}/r --registry-ca-cert-path nowhere.pem",
        f"{package} -r {{own}}/r --sort=false --registry-verify-certs=false --registry-insecure",
        f"{package} -r {{own}}/r rest",
        f"{package} -r {{own}}/r --nonsense",
        f"{package} -r {{own}}/r:tag",
        f"{package} -r {{own}}/R",
        f"{package} -r ''",
        f"{package} -r x",
        f"{package} -r 127.0.0.1:1/r",
        package,
        "package -f pod.yml,more.yml -o x.tar && unpackage -f more.yml -r {own}/r --input x.tar",
        "package -f pod.yml -o x.tar && unpackage -f more.yml -r {own}/r --input x.tar",
        "package -f pod.yml -o x.tar && unpackage -r {own}/r -i x.tar",
        "pkg -f pod.yml -o x.tar && unpkg -f pod.yml -i x.tar -r {own}/r",
        "package -o x.tar && unpackage -i x.tar -r {own}/r --lock-output lock.yml",
        "unpackage -f pod.yml -r {own}/r",
        "unpackage -f pod.yml -r {own}/r -i ''",
        "unpackage -f pod.yml -r {own}/r -i nowhere.tar",
        "unpackage -f pod.yml -r {own}/r -i text.tar",
        "unpackage -f pod.yml -r {own}/r -i d",
        "unpackage -f nowhere.yml -r {own}/r -i nowhere.tar",
        "unpackage",
        "unpackage -r {own}/r",
        set_up=carried,
        files={**files, "d/empty.txt": ""},
    )
    for image in (
        MULTI,
        "{prefix}/app@{foreign}",
        "{prefix}/app@{nested}",
        "{prefix}/bundle@{bundle}",
        "{prefix}/app:other@{app-1.0.0}",
    ):
        line = "package -f pod.yml -o x.tar && unpackage -f pod.yml -i x.tar -r {own}/r --lock-output lock.yml"
        cases.add(line, set_up=carried, files={"pod.yml": pod(image)})
    cases.add("unpackage -i b.tar -r {own}/r --lock-output lock.yml", set_up=_incomplete_tar)
    cases.add(
        "unpackage -i b.tar -r {own}/r --lock-output lock.yml",
        "unpackage -i b.tar -r {own}/r -f pod.yml",
        set_up=_tar_of_imgpkg,
        files={"pod.yml": pod("{prefix}/bundle@{bundle}")},
    )
    return cases.found


def _relocate() -> list[Case]:
    cases = Cases("kbld", "relocate", "relocate")
    cases.add(
        "-f pod.yml -r {own}/r",
        "--file pod.yml --repository {own}/r --tty",
        "-f pod.yml -r {own}/r --json",
        "-f pod.yml -r {own}/r --lock-output lock.yml",
        "-f pod.yml -r {own}/r --lock-output -",
        "-f pod.yml -r {own}/r --lock-output nowhere/lock.yml",
        "-f pod.yml -r {own}/r --concurrency 1",
        "-f pod.yml -r {own}/r --registry-ca-cert-path nowhere.pem",
        "-f pod.yml -r {own}/r && relocate -f pod.yml -r {own}/r",
        "-f pod.yml -r {prefix}/app --lock-output lock.yml",
        "-f pod.yml -r {own}/r -f pod.yml",
        "-f - -r {own}/r",
        "-f pod.yml",
        "-f pod.yml -r ''",
        "-f pod.yml -r {own}/R",
        "-f pod.yml -r {own}/r:tag",
        "-f pod.yml -r x",
        "-f pod.yml -r 127.0.0.1:1/r",
        "-r {own}/r",
        "-r {own}/r -f nowhere.yml",
        "",
        "-f pod.yml -r {own}/r rest",
        "-f pod.yml -r {own}/r --nonsense",
        "-f pod.yml -r {own}/r -o x.tar",
        "-f pod.yml -r {own}/r -i x.tar",
        set_up=carried,
        files={"pod.yml": _TWO},
        stdin=pod(APP),
    )
    for image in (
        MULTI,
        "{prefix}/app@{foreign}",
        "{prefix}/app@{nested}",
        "{prefix}/app@{oci}",
        "{prefix}/bundle@{bundle}",
        "{prefix}/app@{artifact}",
        "{prefix}/app:other@{app-1.0.0}",
        "{prefix}/app:1.0.0",
        f"{{prefix}}/{ABSENT}",
        ABSENT,
        "''",
        "null",
    ):
        cases.add("-f pod.yml -r {own}/r --lock-output lock.yml", set_up=carried, files={"pod.yml": pod(image)})
    several = pod(APP) + f"---\n{pod('{prefix}/further/app@{same}')}---\n{pod(f'{APP}')}"
    cases.add("-f pod.yml -r {own}/r --lock-output lock.yml", set_up=carried, files={"pod.yml": several})
    listed = (
        f"kind: List\nitems:\n- image: {APP}\n- other: 1\n---\nimage: [{OTHER}]\n---\n# nothing\n---\nb: '{MULTI}'\n"
    )
    cases.add("-f pod.yml -r {own}/r --lock-output lock.yml", set_up=carried, files={"pod.yml": listed})
    in_order = (
        f"overrides:\n- {{image: b, newImage: '{OTHER}', preresolved: true}}\n"
        f"- {{image: a, newImage: '{APP}', preresolved: true, origins: [{{preresolved: {{url: x}}}}]}}\n"
        f"- {{image: b, newImage: '{OTHER}', preresolved: true}}\n"
    )
    for config in (
        f"overrides: [{{image: app, newImage: '{OTHER}', preresolved: true}}]\n",
        f"overrides: [{{imageRepo: app, newImage: '{OTHER}', preresolved: true}}]\n",
        f"overrides: [{{image: '{APP}', newImage: '{OTHER}', preresolved: true}}]\n",
        in_order,
        f"overrides: [{{image: app, newImage: '{OTHER}'}}]\n",
        "overrides: [{image: app, newImage: 'app:1', preresolved: true}]\n",
        "keys: [img]\n",
        "searchRules: [{keyMatcher: {name: image}, updateStrategy: {none: {}}}]\n",
        "searchRules: [{keyMatcher: {path: [t]}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: a}}]}}}]\n",
    ):
        text = pod(APP) + f"---\nimg: {OTHER}\nt: |\n  a: {MULTI}\n"
        files = {"pod.yml": text, "kbld.yml": CONFIG + config}
        cases.add("-f pod.yml -f kbld.yml -r {own}/r --lock-output lock.yml", set_up=carried, files=files)
    lock = f"{IMAGES_LOCK}- image: {OTHER}\n  annotations:\n    kbld.carvel.dev/id: app\n"
    files = {"images.yml": lock, "pod.yml": pod("app"), "more.yml": pod(APP)}
    cases.add(
        "-f images.yml -r {own}/r --lock-output lock.yml",
        "-f images.yml -f pod.yml -r {own}/r --lock-output lock.yml",
        "-f images.yml -f more.yml -r {own}/r --lock-output lock.yml",
        set_up=carried,
        files=files,
    )
    return cases.found


def _commands() -> list[Case]:
    cases = Cases("kbld", "commands")
    cases.add(
        "completion",
        "completion bash",
        "completion nonsense",
        "completion bash -f x.yml",
        "-f x.yml completion zsh",
        "pack",
        "pkg",
        "unpkg",
        "reloc",
        "package package",
        "version version",
        "version --file x",
        "version --sort",
        "version --json",
        "version --tty",
        "--version",
        "-v",
        "--version --json",
        "version -v",
        "inspect --version",
        "inspect --platform linux/amd64",
        "inspect --lock-output x",
        "-o x.tar",
        "-r x",
        "--concurrency 3",
        "--registry-username x",
        "--debug",
        "--force",
        "inspect --force",
        "package --force -o x.tar",
        "--tty=x",
        "--color=false -y",
        "--column",
        "-f",
        "-fx -y",
        "-yf nowhere.yml",
    )
    return cases.found


def _scalars() -> list[Case]:
    cases = Cases("kbld", "scalars")
    digest = "sha256:" + "a" * 64
    for value in (
        f"image: |\n  nginx@{digest}\n",
        f"image: |-\n  nginx@{digest}\n",
        f"image: |+\n  nginx@{digest}\n\n",
        f"image: >\n  nginx@{digest}\n",
        f"image: >-\n  nginx@{digest}\nother: 1\n",
        f"image: |2\n  nginx@{digest}\n",
        f'image: "nginx@{digest}\\n"\n',
        f"image: 'nginx@{digest}\n\n  '\n",
        f"image: ' nginx@{digest}'\n",
        f"- image: |\n    nginx@{digest}\n",
        f"list:\n- |\n  nginx@{digest}\n",
        "image: |\n  app\n",
        "image: >\n  app\n",
        "image: |-\n  app\n",
        "image: |+\n  app\n\n",
        "image: ''\n",
        "image: |\n",
        "image: |\n  \n",
        "image: 'app\n\n  '\n",
    ):
        config = f"overrides: [{{image: app, newImage: 'x@{digest}', preresolved: true}}]\n"
        files = {"x.yml": value, "kbld.yml": CONFIG + config}
        cases.add("-f x.yml -f kbld.yml", "-f x.yml --unresolved-inspect", "inspect -f x.yml", files=files)
    for text in (
        f"null: 1\nimage: nginx@{digest}\n",
        f"~: 1\nimage: nginx@{digest}\n",
        f": 1\nimage: nginx@{digest}\n",
        f"a: {{null: {{image: nginx@{digest}}}}}\n",
        f"? \n: nginx@{digest}\n",
        f"null:\n  image: nginx@{digest}\n",
        f"'null': 1\nnull: 2\nimage: nginx@{digest}\n",
        f"1: x\n1.5: b\ntrue: c\nimage: nginx@{digest}\n",
        f"metadata:\n  annotations:\n    null: x\nimage: nginx@{digest}\n",
        f"metadata:\n  annotations:\n    a: null\nimage: nginx@{digest}\n",
        f"metadata: null\nimage: nginx@{digest}\n",
    ):
        cases.add("-f x.yml", "-f x.yml --unresolved-inspect", "inspect -f x.yml", files={"x.yml": text})
    for config in (
        "null: 1\n",
        "~: 1\nkeys: [img]\n",
        "keys: [null]\n",
        "keys: [~, img]\n",
        "keys:\n- |\n  img\n",
        "searchRules: [{keyMatcher: {name: null}}]\n",
        "searchRules: [{keyMatcher: {path: [null]}}]\n",
        "searchRules: [{null: 1, keyMatcher: {name: img}}]\n",
        "searchRules: [{keyMatcher: {name: img, null: x}}]\n",
        "searchRules: [null]\n",
        "searchRules:\n",
        "searchRules: [{keyMatcher: {name: t}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: a}}]}}}]\n",
        f"searchRules:\n- valueMatcher:\n    image: |\n      b@{digest}\n",
        "searchRules: [{valueMatcher: {imageRepo: b}}]\n",
    ):
        text = f"img: a@{digest}\nimage: nginx@{digest}\nt: |\n  null: 1\n  a: c@{digest}\nblock: |\n  b@{digest}\n"
        files = {"x.yml": text, "kbld.yml": CONFIG + config}
        cases.add("-f x.yml -f kbld.yml --unresolved-inspect", "-f x.yml -f kbld.yml", files=files)
    for override in (
        "null",
        f"{{image: app, null: 1, newImage: 'xy@{digest}', preresolved: true}}",
        f'{{image: "app\\n", newImage: "xy@{digest}", preresolved: true}}',
        f'{{imageRepo: app, newImage: "xy@{digest}", preresolved: true}}',
        f'{{imageRepo: "app\\n", newImage: "xy@{digest}", preresolved: true}}',
        f'{{image: app, newImage: "xy@{digest}\\n", preresolved: true}}',
        f'{{image: app, newImage: "xy@{digest}\\n"}}',
        "{image: null, newImage: x}",
    ):
        for text in ("image: app\n", "image: |\n  app\n", "image: >-\n  app\n"):
            files = {"x.yml": text, "kbld.yml": f"{CONFIG}overrides: [{override}]\n"}
            cases.add("-f x.yml -f kbld.yml --unresolved-inspect", files=files)
            if "xy@" in override and ("|" in text) == ("app\\n" in override):
                cases.add("-f x.yml -f kbld.yml --lock-output lock.yml", files=files)
                cases.add("-f x.yml -f kbld.yml --imgpkg-lock-output lock.yml", files=files)
    return cases.found


def kbld_relocation_cases() -> Iterator[Case]:
    """Yield all that are written down."""
    for cases in (_package, _unpackage, _relocate, _commands, _scalars):
        yield from cases()
