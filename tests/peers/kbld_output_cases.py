"""Further command lines of kbld: what it prints and writes where documents, rules and flags meet."""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.cases import Case, Cases
from tests.peers.kbld_cases import ABSENT, CONFIG, IMAGES_LOCK, images, pod

IMAGE = f"image: {ABSENT}\n"
RESOURCE = "apiVersion: v1\nkind: Pod\n"
LIST = "apiVersion: v1\nkind: List\nitems:\n"


def kbld_output_cases() -> Iterator[Case]:
    """Yield all."""
    cases = Cases("kbld", "outputs")
    for add in (_documents, _scalars, _files, _platforms, _locks, _rules):
        add(cases)
    yield from cases.found


def _documents(cases: Cases) -> None:
    """Add documents that are printed in another form than they have."""
    shared = "metadata: &m\n  annotations: &a {x: b}\nspec:\n  metadata: *m\n  other: *a\n"
    for document in (
        f"{IMAGE}---\na: 1\n",
        f"# a\n---\n# b\n{IMAGE}---\n# c\n",
        f"{IMAGE}...\n",
        f"{IMAGE}...\n---\na: 1\n...\n# b\n",
        f"--- # a\n{IMAGE}--- # b\na: 1\n",
        f"--- {{a: 1}}\n---\n{IMAGE}",
        f"---{IMAGE}",
        f"--- |\n a\n---\n{IMAGE}",
        IMAGE.rstrip("\n"),
        IMAGE.replace("\n", "\r\n") + "---\r\na: 1\r\n",
        f"\ufeff{IMAGE}",
        f"{LIST}- {RESOURCE.replace(chr(10), chr(10) + '  ')}mode: 0644\n  size: 1_0\n  {IMAGE}",
        f"{LIST}- a: &x {{image: '{ABSENT}'}} # kept?\n- b: *x\n",
        f"{LIST}- <<: &x {{a: b}}\n  c: d\n- <<: [*x, {{a: e, f: g}}]\n  c: 'true'\n",
        f"{LIST}- items: [{{a: b}}]\n- {{}}\n- [a]\n",
        f"{LIST}- {{}}\n- a: [{{}}, [], '', null, ~]\n",
        f"{LIST}- null\n",
        f"{LIST.replace('items', 'metadata: {resourceVersion: x}' + chr(10) + 'items')}- a: b\n",
        f'{{"apiVersion": "v1", "items": [{{"a": "\\u00e9\\ud83d\\ude00", "image": "{ABSENT}"}}]}}',
        f"items: []\n{IMAGE}",
        "items: null\na: b\n",
        f"items: {{a: b}}\n{IMAGE}",
        f"{LIST}- {CONFIG.replace(chr(10), chr(10) + '  ')}keys: [img]\n- img: {ABSENT}\n",
        f"{RESOURCE}{shared}{IMAGE}",
        f"{shared}{IMAGE}",
        f"base: &b {{metadata: {{name: x}}}}\n<<: *b\n{IMAGE}",
        f"metadata:\n{IMAGE}",
        f"metadata: {{}}\n{IMAGE}",
        f"metadata: {{annotations: }}\n{IMAGE}",
        f"metadata: [a]\n{IMAGE}",
        f"metadata: {{annotations: [a]}}\n{IMAGE}",
        f"metadata: {{annotations: {{kbld.k14s.io/images: [a]}}}}\n{IMAGE}",
        f"a: !!int '3'\nb: !!str 3\nc: !!float 3\nd: !x [a]\n{IMAGE}",
        f"a: '{'x' * 200}'\n? {'y' * 200}\n: z\n{IMAGE}",
    ):
        cases.add("-f config.yml", "-f config.yml --json", files={"config.yml": document})
    json = f'{{\n\t"a": "\\ud83d\\ude00\\/",\n\t"image": "{ABSENT}"\n}}\n'
    several = f"{IMAGE}---\nb: 1\n---\n{LIST}- c: 1\n- d: 1\n"
    cases.add("-f config.json", files={"config.json": json})
    cases.add(*(f"-f config.yml{flag}" for flag in (" --json", " --tty", " --sort")), files={"config.yml": several})


def _scalars(cases: Cases) -> None:
    """Add values that are numbers to some readers."""
    for value in (
        *("0b11", "-0b11", "1__0", "+1_0", "-1_000", "1_", "0o17", "0O17", "0X1F", "0x_1F", "017", "08", "0_8"),
        *(".5", ".5_0", "1_0.5", "1e3", "1e+3", "1_0e3", "1:30", "190:20:30", "0x", "0b2", "_1", "1_a", "-", "+", "."),
        *("'1_000'", '"0b1"', "!!str 1_000", "!!int 1_0", "&x 1_000", "Yes", "NO", "On", "n", "TRUE", "Null", "~"),
        *(".inf", ".NaN", "<<", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "99999999999999999999"),
    ):
        cases.add("-f config.yml --unresolved-inspect", files={"config.yml": f"image: {value}\n"})


def _files(cases: Cases) -> None:
    """Add values of -f."""
    names = (
        "d/a/x.yml",
        "d/a-b.yml",
        "d/a.yml",
        "d/a/.yml",
        "d/.json",
        "d/x.yml/y.yaml",
        "d/z.yml.bak",
        "d/\u00e9.yml",
    )
    files = {name: f"'{name}': 1\n" for name in (*names, "d/.imgpkg/images.yml", "e.yml", "z")}
    cases.add(
        *("-f d", "-f ./d", "-f d//", "-f d/.", "-f d -f d", "-f e.yml -f d", "-f d/a -f d", "-f d/x.yml", "-f z"),
        *("-f d,e.yml,z", "-f ,e.yml", "-f e.yml,", "-f d --sort=false", "-f d/../e.yml", "-f d/nowhere", "-f e.yml/x"),
        *("--file=d --file=-", "-fe.yml", "-f=e.yml", "-f -,-", "-f nowhere.yml -f e.yml", "-f /dev/null"),
        files=files,
        stdin="stdin: 1\n",
    )


def _platforms(cases: Cases) -> None:
    """Add selections of platforms."""
    for image in ("{prefix}/app:multi", "{prefix}/app@{multi}", "{prefix}/app@{arm64}", "{prefix}/app:1.0.0@{multi}"):
        files = {"pod.yml": pod(image)}
        for platform in ("linux/arm64", "linux/arm64/", "linux/arm64:", "Linux/arm64", "linux/arm64/v8:1:2", ":/"):
            cases.add(f"-f pod.yml --platform {platform} --imgpkg-lock-output lock.yml", set_up=images, files=files)
    for selection in (
        "{os: linux, architecture: arm64}",
        "{architecture: arm64}",
        "{os: linux, architecture: arm64, os.version: ''}",
        "{os: linux, architecture: arm64, os.features: [a]}",
        "{os: '', architecture: ''}",
        "null",
    ):
        for new in ("newImage: '{prefix}/app:multi', ", "newImage: '{prefix}/app@{multi}', ", ""):
            override = f"overrides:\n- {{image: '{{prefix}}/app:multi', {new}platformSelection: {selection}}}\n"
            files = {"pod.yml": pod("{prefix}/app:multi"), "kbld.yml": CONFIG + override}
            cases.add(
                "-f . --imgpkg-lock-output lock.yml",
                "-f . --lock-output lock.yml --platform linux/amd64",
                set_up=images,
                files=files,
            )


def _locks(cases: Cases) -> None:
    """Add what is written into locks, and read from them."""
    several = "---\n".join(pod(image) for image in ("{prefix}/app:latest", "{prefix}/app", "{prefix}/app@{app-latest}"))
    both = several + "  - name: more\n    image: {prefix}/app\n  - name: other\n    image: {prefix}/app:2.0.0\n"
    for flags in (
        *("--imgpkg-lock-output lock.yml", "--lock-output lock.yml", "--imgpkg-lock-output nowhere/lock.yml"),
        *("--imgpkg-lock-output .", "--lock-output .", "--lock-output=", "--imgpkg-lock-output lock.yml --json"),
        "--imgpkg-lock-output lock.yml --origins-annotation=false --images-annotation=false",
        "--lock-output pod.yml --unresolved-inspect",
    ):
        files = {"pod.yml": both}
        cases.add(f"-f pod.yml {flags}", set_up=images, files=files)
        cases.add(f"-f pod.yml {flags}", set_up=images, files={**files, "lock.yml": "old: 1\n"})
    cases.add("-f kbld.yml --lock-output lock.yml", files={"kbld.yml": CONFIG})
    cases.add("-f pod.yml --imgpkg-lock-output lock.yml", files={"pod.yml": "a: 1\n"})
    entry = f"- image: {ABSENT}\n  annotations:\n    kbld.carvel.dev/id: app\n"
    known = f"    kbld.carvel.dev/origins: |\n      - preresolved: {{url: index.docker.io/library/{ABSENT}}}\n"
    for lock in (
        entry + known,
        entry + known.replace("index.docker.io/library/", ""),
        entry + known.replace("preresolved", "local").replace("url", "path"),
        entry + known.replace("preresolved: {", "unknown: {a: b}, preresolved: {x: z, "),
        entry + "    kbld.carvel.dev/origins: ''\n",
        entry + "    kbld.carvel.dev/origins: '[]'\n",
        entry + "    kbld.carvel.dev/origins: a\n",
        entry + "    kbld.carvel.dev/origins: '{a: b}'\n",
        entry + entry.replace("nginx@", "quay.io/x/nginx@"),
        entry.replace("id: app", "id: 1_0"),
        entry.replace("nginx@", "localhost:5000/nginx:1@"),
    ):
        files = {"pod.yml": pod("app"), "images.yml": IMAGES_LOCK + lock}
        cases.add("-f . --imgpkg-lock-output lock.yml", files=files)
    for mapping in (
        f'{{"app": "{ABSENT}", "app": "x"}}',
        '{"app": null}',
        f'{{"app": "docker.io/library/{ABSENT}", "other": true}}',
        "null",
        '{"app": "x",}',
        "app: x\n",
        '{"app": "x"',
        '"x"',
        '{"app": ["x"]}',
    ):
        files = {"pod.yml": pod("app"), "map.json": mapping}
        cases.add(
            "-f pod.yml --image-map-file map.json",
            "-f pod.yml --image-map-file map.json --imgpkg-lock-output lock.yml",
            files=files,
        )


def _rules(cases: Cases) -> None:
    """Add rules of kbld that decide what is printed and written."""
    within = "{yaml: {searchRules: [{keyMatcher: {name: a}}]}}"
    for rules in (
        "keys: [img, img]\nsearchRules: [{keyMatcher: {name: img}}]\n",
        "searchRules: [{keyMatcher: {name: image}, updateStrategy: {none: {}}}, {keyMatcher: {name: img}}]\n",
        "searchRules: [{keyMatcher: {name: text}, updateStrategy: " + within + "}]\n",
        "sources: [{image: app, path: .}]\n",
        "overrides: [{image: app, newImage: x}]\nsources: [{image: x, path: .}]\n",
    ):
        resources = f"img: {ABSENT}\nimage: quay.io/{ABSENT}\ntext: 'a: {ABSENT}'\n---\nimage: app\n"
        files = {"pod.yml": resources, "kbld.yml": CONFIG + rules}
        override = f"overrides: [{{image: app, newImage: {ABSENT}, preresolved: true}}]\n"
        cases.add("-f . --build=false --lock-output lock.yml", files=files)
        cases.add("-f . --build=false --lock-output lock.yml", files={**files, "other.yml": CONFIG + override})
    for repository in ("app", "a:", "a@b", "host:1", "host:1/a", ":a", "a b"):
        for image in (f"{repository}:1", repository, f"{repository}@sha256:x", f"{repository}:1@x:y"):
            override = f"overrides: [{{imageRepo: '{repository}', newImage: done, preresolved: true}}]\n"
            files = {"pod.yml": f"image: '{image}'\n", "kbld.yml": CONFIG + override}
            cases.add("-f .", files=files)
