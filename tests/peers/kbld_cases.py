"""Command lines of kbld."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.cases import Case, Cases
from tests.peers.scene import Scene
from tests.support.images import file_layer, put_image, put_index

CONFIG = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: pod
spec:
  containers:
  - name: app
    image: IMAGE
"""
IMAGES_LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n"
ABSENT = f"nginx@sha256:{'a' * 64}"


def pod(image: str) -> str:
    """Return a pod with one image."""
    return POD.replace("IMAGE", image)


def images(scene: Scene) -> None:
    """Put images with tags, and an index for several platforms, in place."""
    store = scene.store("app")
    for tag in ("1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0", "latest", "other"):
        image = put_image(store, file_layer("app", tag), tag=tag)
        scene.digests[f"app-{tag}"] = image.digest
    children = [
        put_image(store, file_layer("multi", name), platform={"os": "linux", "architecture": name})
        for name in ("amd64", "arm64")
    ]
    index = put_index(scene.store("app"), children, tag="multi")
    scene.digests |= {"multi": index.digest, "amd64": children[0].digest, "arm64": children[1].digest}


def _resolve() -> list[Case]:
    cases = Cases("kbld", "resolve")
    cases.add(
        "-f pod.yml",
        "--file pod.yml",
        "-f pod.yml --tty",
        "-f pod.yml --json",
        "-f pod.yml --images-annotation=false",
        "-f pod.yml --origins-annotation=false",
        "-f pod.yml --lock-output lock.yml",
        "-f pod.yml --imgpkg-lock-output lock.yml",
        "-f pod.yml --imgpkg-lock-output lock.yml --origins-annotation=false",
        "-f pod.yml --imgpkg-lock-output lock.yml --images-annotation=false",
        "-f pod.yml --imgpkg-lock-output lock.yml --lock-output other.yml",
        "-f pod.yml --lock-output nowhere/lock.yml",
        "-f pod.yml --unresolved-inspect",
        "-f pod.yml --build=false",
        "-f pod.yml --build-concurrency 1",
        "-f pod.yml --nonsense",
        "-f pod.yml -f pod.yml",
        "-f pod.yml,pod.yml",
        "-f .",
        "-f nowhere.yml",
        "-f pod.yml rest",
        "",
        "-f ''",
        "-f -",
        "-f pod.yml -f -",
        "-f pod.yml --registry-verify-certs=false",
        "-f pod.yml --registry-ca-cert-path nowhere.pem",
        "-f pod.yml --registry-insecure",
        "-f pod.yml --platform linux/arm64",
        "-f pod.yml --platform linux",
        "-f pod.yml --sort",
        "-f pod.yml --sort=false",
        "version",
        "inspect -f pod.yml",
        "inspect -f pod.yml --tty",
        "inspect -f pod.yml --json",
        "i -f pod.yml",
        "inspect",
        "inspect -f nowhere.yml",
        "inspect -f pod.yml --column image",
        "resolve -f pod.yml",
        "relocate -f pod.yml",
        "package -f pod.yml",
        set_up=images,
        files={"pod.yml": pod("{prefix}/app:1.0.0")},
        stdin=pod("{prefix}/app:2.0.0"),
    )
    for image in (
        ABSENT,
        "{prefix}/app",
        "{prefix}/app:latest",
        "{prefix}/app:nowhere",
        "{prefix}/nowhere",
        "{prefix}/app:1.0.0@{app-2.0.0}",
        "{prefix}/app@{app-2.0.0}",
        "{prefix}/App:1",
        "docker.io/library/" + ABSENT,
        "index.docker.io/library/" + ABSENT,
        "library/" + ABSENT,
        "quay.io/x/" + ABSENT,
        "quay.io/" + ABSENT,
        "localhost:1/x:y",
        "127.0.0.1:1/x:y",
        "''",
        "' '",
        "' {prefix}/app:1.0.0 '",
        "null",
        "1",
        "1.5",
        "true",
        "y",
        "[a]",
        "{a: b}",
        "a b",
        "nginx@sha256:aa",
        "nginx@md5:aa",
        ":",
        "@",
        "http://nginx",
        "{prefix}/app:1.0.0:2",
        "{prefix}/app:multi",
        "~",
        "&x {prefix}/app:1.0.0",
        "!!str {prefix}/app:1.0.0",
        "2020-01-01",
        "0x10",
        "1_000",
    ):
        files = {"pod.yml": pod(image)}
        cases.add("-f pod.yml", "-f pod.yml --imgpkg-lock-output lock.yml", set_up=images, files=files)
    for platform in (
        "linux/amd64",
        "linux/arm64",
        "linux/arm64/v8",
        "linux/s390x",
        "windows/amd64",
        "linux/amd64:10",
        "linux/",
        "/",
        "a/b/c/d",
        "",
    ):
        files = {"pod.yml": pod("{prefix}/app:multi") + "---\n" + pod("{prefix}/app:1.0.0")}
        cases.add(f"-f pod.yml --platform '{platform}'", set_up=images, files=files)
    return cases.found


def _documents() -> list[Case]:
    """Yield documents of all forms, which need no registry."""
    cases = Cases("kbld", "documents")
    image = f"image: {ABSENT}\n"
    documents = (
        "",
        "# nothing\n",
        "---\n",
        "---\n---\n",
        "null\n",
        "a\n",
        "1\n",
        "- a\n",
        f"- {image}",
        "[]\n",
        "{}\n",
        image,
        f"---\n{image}---\n{image}",
        f"{image}...\n{image}",
        f"# comment\n{image}  # behind\n",
        f"b: 1\na:\n  {image}",
        f"name: y\n{image}",
        f"on: yes\nno: off\n{image}",
        f"a: 010\nb: 0o10\nc: 1e3\nd: .inf\ne: 1.0\n{image}",
        f"a: 2001-12-14\nb: 2001-12-14T21:59:43Z\n{image}",
        f"a: |\n  text\n   more\nb: >\n  folded\n  text\n{image}",
        f"a: &x {{b: 1}}\nc: *x\n{image}",
        f"a: &x {{b: 1}}\nc:\n  <<: *x\n  d: 2\n{image}",
        f"1: a\ntrue: b\n{image}",
        f"? [a, b]\n: c\n{image}",
        f"a: 1\na: 2\n{image}",
        f"a: !custom b\n{image}",
        f"a: !!binary aGk=\n{image}",
        "a: [\n",
        "\ta: b\n",
        "a: b: c\n",
        "a: *nowhere\n",
        f'{{"image": "{ABSENT}"}}\n',
        f'{{"a": "\\u00e9\\u2028<>&", "image": "{ABSENT}"}}\n',
        f"a: é ü \u2028\n{image}",
        f"a: ''\nb: \"\"\nc: ~\nd:\n{image}",
        f"a: 'true'\nb: '1'\nc: 'null'\nd: '2001-01-01'\ne: 'y'\nf: '0x1'\n{image}",
        f"a: 12345678901234567890\nb: 1.23456789012345678\nc: -0\nd: +1\n{image}",
        f"a: '{'long ' * 40}'\n{image}",
        f'a: "with\\ttab\\nand line"\n{image}',
        f"%YAML 1.1\n---\n{image}",
        f"kind: List\nitems:\n- {image}- {image}",
        f"apiVersion: v1\nkind: List\nitems:\n- kind: A\n  metadata: {{name: a}}\n  {image}",
        "apiVersion: v1\nkind: List\nitems: []\n",
        f"items: a\n{image}",
        f"items:\n- a\n- {image}",
        pod(ABSENT) + "---\n" + pod(ABSENT),
        pod(ABSENT).replace("metadata:", "metadata:\n  annotations: {a: b}"),
        pod(ABSENT).replace("metadata:", "metadata:\n  annotations:\n    kbld.k14s.io/images: old"),
        pod(ABSENT).replace("metadata:", "metadata:\n  namespace: space"),
        pod(ABSENT).replace("  name: pod", "  generateName: pod-"),
        pod(ABSENT) + f"  - name: second\n    image: {ABSENT}\n  initContainers:\n  - {image}",
        pod(ABSENT) + "  - name: second\n    image: quay.io/x/" + ABSENT + "\n",
        f"metadata: a\n{image}",
        f"metadata: {{annotations: a}}\n{image}",
        f"metadata: {{annotations: {{a: 1}}}}\n{image}",
        f"image: {ABSENT}\nImage: {ABSENT}\nimages: [{ABSENT}]\nmyimage: {ABSENT}\n",
        f"image:\n  image: {ABSENT}\n",
        f"image: [{ABSENT}]\n",
        f"a: 'image: {ABSENT}'\n",
    )
    for document in documents:
        cases.add("-f config.yml", files={"config.yml": document})
    for document in documents[::3]:
        files = {"config.yml": document}
        cases.add("inspect -f config.yml", "-f config.yml --unresolved-inspect", files=files)
    for document in documents[::4]:
        cases.add("-f -", stdin=document)
    files = {
        "d/b.yml": f"b: 1\n{image}",
        "d/a.yaml": f"a: 1\n{image}",
        "d/c.json": f'{{"c": 1, "image": "{ABSENT}"}}',
        "d/e.txt": "image: [\n",
        "d/sub/a.yml": f"sub: 1\n{image}",
        "d/.hidden/a.yml": f"hidden: 1\n{image}",
        "d/.a.yml": f"dot: 1\n{image}",
        "d/A.YML": f"upper: 1\n{image}",
        "z.yml": f"z: 1\n{image}",
        "data": f"data: 1\n{image}",
    }
    cases.add(
        "-f d",
        "-f d/",
        "-f d -f z.yml",
        "-f z.yml -f d",
        "-f d,z.yml",
        "-f data",
        "-f d/e.txt",
        "-f ./d/sub",
        "-f d/sub -f d",
        "inspect -f d",
        "-f d --sort",
        "-f d --unresolved-inspect",
        files=files,
    )
    return cases.found


def _config() -> list[Case]:
    cases = Cases("kbld", "config")
    used = pod("app") + "---\n" + pod("other:1")

    def config(text: str, resources: str = used, *lines: str) -> None:
        files = {"pod.yml": resources, "kbld.yml": CONFIG + text}
        cases.add(*(lines or ("-f pod.yml,kbld.yml",)), set_up=images, files=files)

    override = "overrides:\n- {image: app, newImage: '{prefix}/app:1.0.0'}\n- {image: 'other:1', newImage: NEW}\n"
    done = override.replace("NEW", f"'{ABSENT}', preresolved: true")
    config(done)
    config(
        done, used, "-f pod.yml,kbld.yml --lock-output lock.yml", "-f pod.yml,kbld.yml --imgpkg-lock-output lock.yml"
    )
    config(done, used, "inspect -f pod.yml,kbld.yml", "-f pod.yml,kbld.yml --unresolved-inspect")
    config(override.replace("NEW", "'{prefix}/app'"))
    config(override.replace("NEW", "'{prefix}/app:nowhere'"))
    config(override.replace("NEW", "'app'"))
    config(override.replace("NEW", "''"))
    config(override.replace("NEW", "x, preresolved: true"))
    config(override.replace("image: app", "imageRepo: app").replace("NEW", "'{prefix}/app:2.0.0'"))
    config(override.replace("image: 'other:1'", "imageRepo: other").replace("NEW", "'{prefix}/app:2.0.0'"))
    config(override.replace("image: 'other:1'", "image: other").replace("NEW", "'{prefix}/app:2.0.0'"))
    for selection in (
        "semver: {}",
        "semver: {constraints: '>=1.0.0'}",
        "semver: {constraints: '<2.0.0'}",
        "semver: {constraints: '1.0.x || 1.1.x'}",
        "semver: {constraints: '>=9'}",
        "semver: {constraints: 'nonsense'}",
        "semver: {prereleases: {}}",
        "semver: {constraints: '<2.0.0', prereleases: {}}",
        "semver: {constraints: '<2.0.0', prereleases: {identifiers: [rc]}}",
        "semver: {constraints: '<2.0.0', prereleases: {identifiers: [beta]}}",
        "{}",
    ):
        new = (
            f"'{{prefix}}/app', tagSelection: {{{selection}}}"
            if selection != "{}"
            else "'{prefix}/app', tagSelection: {}"
        )
        config(override.replace("NEW", new))
    for selection in (
        "{os: linux, architecture: amd64}",
        "{architecture: arm64}",
        "{os: linux}",
        "{os: windows}",
        "{}",
        "{os: linux, architecture: arm64, variant: v8}",
        "{features: [a]}",
        "{os.version: '1'}",
    ):
        new = f"'{{prefix}}/app:multi', platformSelection: {selection}"
        config(override.replace("NEW", new), used, "-f pod.yml,kbld.yml", "-f pod.yml,kbld.yml --platform linux/amd64")
    for text in (
        "minimumRequiredVersion: 0.1.0\n",
        "minimumRequiredVersion: 9.0.0\n",
        "minimumRequiredVersion: v0.1.0\n",
        "minimumRequiredVersion: x\n",
        "nonsense: 1\n",
        "overrides: 1\n",
        "overrides: [1]\n",
        "overrides: [{}]\n",
        "overrides: [{image: a, imageRepo: b, newImage: c}]\n",
        "overrides: [{image: a}]\n",
        "overrides: [{newImage: a}]\n",
        "overrides: [{image: a, newImage: b, nonsense: 1}]\n",
        "overrides: null\n",
        "keys: [img]\n",
        "keys: []\n",
        "searchRules: []\n",
        "searchRules: [{}]\n",
        "searchRules: [{keyMatcher: {}}]\n",
        "searchRules: [{keyMatcher: {name: a, path: [b]}}]\n",
        "searchRules: [{valueMatcher: {}}]\n",
        "searchRules: [{valueMatcher: {image: a, imageRepo: b}}]\n",
        "searchRules: [{keyMatcher: {name: a}, updateStrategy: {}}]\n",
        "searchRules: [{keyMatcher: {name: a}, updateStrategy: {none: {}, json: {}}}]\n",
        "destinations: [{}]\n",
        "destinations: [{image: app, newImage: x}]\n",
        "sources: [{}]\n",
        "sources: [{image: app}]\n",
        "sources: [{image: app, path: nowhere}]\n",
        "sources: [{image: app, path: ., docker: {}, pack: {}}]\n",
    ):
        config(text, pod(ABSENT))
    value = f"image: {ABSENT}"
    resources = (
        f"img: quay.io/a/{ABSENT}\n{value}\nnested:\n  img: quay.io/b/{ABSENT}\n"
        f"list:\n- a: {ABSENT}\n- b: quay.io/c/{ABSENT}\n"
        f"text: |\n  image: quay.io/d/{ABSENT}\n  img: quay.io/e/{ABSENT}\n"
        f'json: \'{{"image": "quay.io/f/{ABSENT}"}}\'\n'
        "broken: 'a: ['\nempty: ''\nnumber: 3\n"
    )
    for rules in (
        "[{keyMatcher: {name: img}}]",
        "[{keyMatcher: {path: [img]}}]",
        "[{keyMatcher: {path: [nested, img]}}]",
        "[{keyMatcher: {path: [list, {index: 0}, a]}}]",
        "[{keyMatcher: {path: [list, {index: 1}, a]}}]",
        "[{keyMatcher: {path: [list, {allIndexes: true}, b]}}]",
        "[{keyMatcher: {path: [list, {index: -1}, b]}}]",
        "[{keyMatcher: {path: [list, {index: 9}, b]}}]",
        f"[{{valueMatcher: {{image: '{ABSENT}'}}}}]",
        "[{valueMatcher: {imageRepo: nginx}}]",
        "[{valueMatcher: {imageRepo: quay.io/c/nginx}}]",
        "[{keyMatcher: {name: img}, valueMatcher: {imageRepo: quay.io/a/nginx}}]",
        "[{keyMatcher: {name: image}, updateStrategy: {none: {}}}]",
        "[{keyMatcher: {name: nested}, updateStrategy: {none: {}}}]",
        "[{keyMatcher: {name: text}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: text}, updateStrategy: {yaml: {}}}]",
        "[{keyMatcher: {name: text}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: img}}]}}}]",
        "[{keyMatcher: {name: text}, updateStrategy: {json: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: json}, updateStrategy: {json: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: json}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: broken}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: empty}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: number}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: image}}]}}}]",
        "[{keyMatcher: {name: img}, updateStrategy: {entireValue: {}}}]",
        "[{keyMatcher: {name: empty}}]",
        "[{keyMatcher: {name: number}}]",
        "[{keyMatcher: {name: list}}]",
    ):
        config(
            f"searchRules: {rules}\n", resources, "-f pod.yml,kbld.yml", "-f pod.yml,kbld.yml --lock-output lock.yml"
        )
    for kind, body in (
        ("ImageOverrides", "overrides:\n- {image: app, newImage: '{prefix}/app:1.0.0'}\n"),
        ("ImageKeys", "keys: [img]\n"),
        ("ImageDestinations", "destinations: [{image: app, newImage: x}]\n"),
        ("Sources", "sources: [{image: other, path: .}]\n"),
        ("Nonsense", "keys: [img]\n"),
        ("config", "keys: [img]\n"),
    ):
        text = f"apiVersion: kbld.k14s.io/v1alpha1\nkind: {kind}\n{body}"
        files = {"pod.yml": pod("app") + f"---\nimg: {ABSENT}\n", "kbld.yml": text}
        cases.add("-f pod.yml,kbld.yml", set_up=images, files=files)
    return cases.found


def _locks() -> list[Case]:
    cases = Cases("kbld", "locks")
    entry = f"- image: {ABSENT}\n  annotations:\n    kbld.carvel.dev/id: app\n"
    for lock in (
        entry,
        entry + "    kbld.carvel.dev/origins: |\n      - resolved: {tag: x, url: y}\n",
        entry + "    kbld.carvel.dev/origins: 'a: ['\n",
        entry + "    more: x\n",
        f"- image: {ABSENT}\n",
        entry.replace("app", "''"),
        entry.replace(ABSENT, "nginx:1"),
        entry.replace(ABSENT, f"docker.io/library/{ABSENT}"),
        entry.replace(ABSENT, f"nginx:1@sha256:{'a' * 64}"),
        entry + f"- image: quay.io/x/{ABSENT}\n  annotations: {{kbld.carvel.dev/id: app}}\n",
        "",
        "1\n",
    ):
        files = {"pod.yml": pod("app"), "images.yml": IMAGES_LOCK + lock}
        cases.add(
            "-f pod.yml -f images.yml",
            "-f images.yml -f pod.yml --imgpkg-lock-output lock.yml",
            "-f pod.yml -f images.yml --lock-output lock.yml",
            files=files,
        )
    for mapping in (
        f'{{"app": "{ABSENT}"}}',
        '{"app": "nonsense"}',
        '{"app": ""}',
        '{"": "x"}',
        "{}",
        "[]",
        "",
        '{"app": 1}',
    ):
        files = {"pod.yml": pod("app"), "map.json": mapping}
        cases.add("-f pod.yml --image-map-file map.json", files=files)
    cases.add("-f pod.yml --image-map-file nowhere.json", files={"pod.yml": pod("app")})
    return cases.found


def kbld_cases() -> Iterator[Case]:
    """Yield all that are written down."""
    for cases in (_resolve, _documents, _config, _locks):
        yield from cases()
