"""Command lines of kbld that are about what it says: of documents, configuration, references and files; and inspect."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.cases import Case, Cases
from tests.peers.kbld_cases import ABSENT, CONFIG, IMAGES_LOCK, images, pod

DIGEST = "sha256:" + "a" * 64
ORIGINS = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations:
    other: text
    kbld.k14s.io/images: |
      ANNOTATION
spec:
- image: a.invalid/web@DIGEST
- image: a.invalid/app@DIGEST
- image: web:1
""".replace("DIGEST", DIGEST)
RESOLVED = f"- url: a.invalid/web@{DIGEST}\n        origins: [{{resolved: {{url: 'web:1', tag: '1'}}}}]"


def _inspect() -> list[Case]:
    cases = Cases("kbld", "inspect")
    listed = f"{RESOLVED}\n      - url: a.invalid/app@{DIGEST}"
    files = {
        "web.yml": ORIGINS.replace("ANNOTATION", listed),
        "kbld.yml": CONFIG + "keys: [img]\noverrides: [{image: 'web:1', newImage: x, preresolved: true}]\n",
        "more.yml": "kind: Pod\nmetadata: {generateName: app-}\nimg: b:1\nimage: a:1\n---\nimage: ''\n",
    }
    cases.add(
        "inspect -f web.yml",
        "inspect -f web.yml --tty",
        "inspect -f web.yml --json",
        "inspect -f . --sort=false",
        "inspect -f .",
        "inspect -f . --tty",
        "inspect -f . --json --column image",
        "inspect -f . --column metadata",
        "inspect -f . --column resource,image",
        "inspect -f more.yml --column Image --tty",
        "is -f more.yml",
        "insp -f more.yml",
        "inspect -f kbld.yml",
        "inspect -f kbld.yml --tty",
        "inspect -f kbld.yml --json",
        "inspect -f more.yml rest",
        "inspect -f more.yml --nonsense",
        "inspect -f more.yml --registry-ca-cert-path nowhere.pem",
        "-f . --unresolved-inspect",
        "-f . --unresolved-inspect --tty",
        "-f . --unresolved-inspect --json",
        "-f kbld.yml --unresolved-inspect",
        files=files,
    )
    for annotation in ("null", "", "{}", "a", "1", "- a: b", "[", "- {url: 1}", "- URL: x", "[]"):
        cases.add("inspect -f web.yml", files={"web.yml": ORIGINS.replace("ANNOTATION", annotation)})
    return cases.found


def _documents() -> list[Case]:
    cases = Cases("kbld", "words-documents")
    image = f"image: {ABSENT}\n"
    for document in (
        f"{image}--- a\n",
        f"{image}--- # a\n{image}",
        f"{image}---\na: [\n",
        f"---\n{image}---\n\n---\na: b: c\n",
        "a: {{ .Values.image }}\n",
        "{{ if }}\na: b\n{{ end }}\n",
        "{{- if }}\na: b\n",
        "a: 'b\n",
        'a: "\\q"\n',
        "a: b\n c: d\n",
        "a:\n- b\nc\n",
        "a: |\n\tb\n",
        "a: @b\n",
        "a: `b`\n",
        "a: %b\n",
        "- a\nb: c\n",
        "a: &x [*x]\n",
        "<<: a\n",
        "a: .nan\n",
        "true\n",
        "1.5\n",
        "kind: List\nitems: [1]\n",
        "kind: List\nitems: {a: b}\n",
        "a: \x01\n",
    ):
        cases.add("-f a.yml", files={"a.yml": document})
    files = {"a.yml": "a: [\n", "b.yml": CONFIG + "overrides: [{}]\n", "c.yml": CONFIG + "keys: ['']\n"}
    cases.add("-f b.yml -f a.yml", "-f c.yml -f b.yml", "-f .", "-f a.yml,nowhere.yml", "-f nowhere/a.yml", files=files)
    return cases.found


def _configuration() -> list[Case]:
    cases = Cases("kbld", "words-config")
    for text in (
        "Overrides: [{IMAGE: app, NewImage: '{prefix}/app:1.0.0'}]\n",
        "overrides: [{image: 1, newImage: '{prefix}/app:1.0.0'}]\n",
        "overrides: [null]\n",
        "overrides: [{image: null, imageRepo: app, newImage: '{prefix}/app:1.0.0'}]\n",
        "overrides: [{image: '', imageRepo: app, newImage: '{prefix}/app:1.0.0'}]\n",
        "overrides: [{image: app, newImage: '{prefix}/App'}]\n",
        "overrides: [{image: app, newImage: 'a b', preresolved: true}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app', preresolved: null}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app:1.0.0', tagSelection: null}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app:1.0.0', tagSelection: {semver: {}}}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app', tagSelection: {semver: {constraints: '>=9.0.0'}}}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app', tagSelection: {semver: {constraints: '>=1.0'}}}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app', tagSelection: {semver: {constraints: '1.0.0 x'}}}]\n",
        "overrides: [{image: app, newImage: '{prefix}/nowhere', tagSelection: {semver: {}}}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app', preresolved: true, tagSelection: {}}]\n",
        "overrides: [{image: unused, newImage: x, tagSelection: {}}]\n",
        "overrides: [{image: app, newImage: '{prefix}/app:1.0.0', origins: [{git: {sha: a}}, {odd: 1}]}]\n",
        "destinations: [{image: app}]\n",
        "destinations: [{image: app, tags: ['a b']}]\n",
        "destinations: [{imageRepo: app, newImage: 'A b'}]\n",
        "keys: ['']\n",
        "keys: [1]\n",
        "searchRules: [null]\n",
        "searchRules: [{keyMatcher: null, valueMatcher: {image: x}}]\n",
        "searchRules: [{keyMatcher: {name: img, path: [nowhere]}}]\n",
        "searchRules: [{keyMatcher: {name: img}, updateStrategy: null}]\n",
        "searchRules: [{keyMatcher: {name: img}, updateStrategy: {entireValue: {}, none: {}}}]\n",
        "searchRules: [{keyMatcher: {path: [list, {allIndexes: false}]}}]\n",
        "searchRules: [{keyMatcher: {path: [list, {index: 0}]}}, {keyMatcher: {path: [list, {}]}}]\n",
        "minimumRequiredVersion: 0.45.0\n",
        "minimumRequiredVersion: 0.45\n",
        "minimumRequiredVersion: 0.45.1\n",
        "minimumRequiredVersion: 0.46.0-rc.1\n",
        "minimumRequiredVersion: 0.45.0-rc.1\n",
        "minimumRequiredVersion: 0.45.0+meta\n",
        "minimumRequiredVersion: ' 0.1.0 '\n",
        "minimumRequiredVersion: 0.1.0.1\n",
        "minimumRequiredVersion: '>0'\n",
        "minimumRequiredVersion: 9\n",
        "sources: [{image: other, path: 1}]\n",
        "metadata: {name: a, namespace: b}\noverrides: [{}]\n",
        "metadata: {generateName: a}\noverrides: [{}]\n",
    ):
        files = {
            "pod.yml": pod("app") + f"---\nimg: {ABSENT}\nlist: [{ABSENT}, b@{DIGEST}]\n",
            "kbld.yml": CONFIG + text,
            "known.yml": CONFIG + "overrides: [{image: app, newImage: '{prefix}/app:1.0.0'}]\n",
        }
        known = "" if "overrides" in text.lower() else " -f known.yml"
        cases.add(f"-f pod.yml -f kbld.yml{known}", set_up=images, files=files)
    for entry in (
        f"- image: {ABSENT}\n  annotations: {{kbld.carvel.dev/id: app}}\n  more: x\n",
        "- annotations: {kbld.carvel.dev/id: app}\n",
        f"- image: {ABSENT}\n  annotations: {{kbld.carvel.dev/id: app, kbld.carvel.dev/origins: a}}\n",
        f"- image: {ABSENT}\n  annotations: {{kbld.carvel.dev/id: app, kbld.carvel.dev/origins: 'null'}}\n",
        f"- image: {ABSENT}\n  annotations: {{kbld.carvel.dev/id: app, kbld.carvel.dev/origins: 'a: ['}}\n",
        f"- image: {ABSENT}\n  annotations: {{kbld.carvel.dev/id: 1}}\n",
        f"- image: A@{DIGEST}\n  annotations: {{kbld.carvel.dev/id: app}}\n",
        "- image: nginx@sha256:aa\n  annotations: {kbld.carvel.dev/id: app}\n",
    ):
        files = {"pod.yml": pod("app"), "images.yml": IMAGES_LOCK + entry}
        cases.add("-f pod.yml -f images.yml", files=files)
    return cases.found


def _references() -> list[Case]:
    cases = Cases("kbld", "words-references")
    for image in (
        "a",
        "a:b:c",
        "{host}/x",
        "{host}/Xy:z",
        "{prefix}/app:",
        "{prefix}/app:a b",
        "{prefix}/app:" + "a" * 129,
        "{prefix}/app@",
        "{prefix}/app@sha256:" + "g" * 64,
        f"{{prefix}}/app@{DIGEST}@{DIGEST}",
        f"App@{DIGEST}",
        "user:word@{host}/app",
        "a b.example/app",
        "r.example:x/app",
        "'{{ .Values.image }}'",
        "'(@= data.values.image @)'",
        "#@ data.values.image",
        "{prefix}/app:multi",
    ):
        cases.add("-f pod.yml", set_up=images, files={"pod.yml": pod(image) + "---\nimage: " + ABSENT})
    files = {"pod.yml": pod("{prefix}/app:1.0.0"), "none.pem": "nothing\n"}
    cases.add(
        "-f pod.yml --registry-ca-cert-path none.pem",
        "-f pod.yml --registry-ca-cert-path .",
        "-f pod.yml --image-map-file .",
        "-f pod.yml --lock-output nowhere/lock.yml --imgpkg-lock-output lock.yml",
        "-f nowhere.yml --lock-output a --imgpkg-lock-output b",
        "-f nowhere.yml --registry-ca-cert-path nowhere.pem",
        set_up=images,
        files=files,
    )
    return cases.found


def kbld_words_cases() -> Iterator[Case]:
    """Yield all of them."""
    for cases in (_inspect, _documents, _configuration, _references):
        yield from cases()
