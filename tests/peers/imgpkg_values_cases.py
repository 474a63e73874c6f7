"""Command lines of imgpkg that are about values: what locks hold, what flags take, which files are pushed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.peers.cases import Case, Cases
from tests.peers.imgpkg_cases import BUNDLE, BUNDLE_LOCK, LOCK, PLAIN, images
from tests.peers.scene import Link


def _bundle_locks() -> Iterator[str]:
    """Yield BundleLocks with values of every type, keys that are missing or unknown, and several documents."""
    lock = BUNDLE_LOCK.replace("IMAGE", "{prefix}/outer@{outer}")
    for tag in ("1", "1.50", "true", "null", "''", "[a]", "{a: b}", "0x10", "1e3", "y", "2024-01-01", "'1'"):
        yield lock.replace("tag: v1", f"tag: {tag}")
    for image in ("1", "null", "[a]", "{a: b}", "true", "x@sha256:aa"):
        yield BUNDLE_LOCK.replace("IMAGE", image)
    for bundle in ("null", "1", "[]", "text", "{}"):
        yield f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: BundleLock\nbundle: {bundle}\n"
    yield lock.replace("kind: BundleLock\n", "")
    yield lock.replace("kind: BundleLock", "kind: null")
    yield lock.replace("kind: BundleLock", "kind: 1")
    yield lock.replace("kind: BundleLock", "kind: [BundleLock]")
    yield lock.replace("kind: BundleLock", "Kind: BundleLock")
    yield lock.replace("apiVersion: imgpkg.carvel.dev/v1alpha1\n", "")
    yield lock.replace("imgpkg.carvel.dev/v1alpha1", "1")
    yield lock.replace("apiVersion", "apiversion")
    yield lock.replace("  tag: v1", "  TAG: v1")
    yield lock.replace("  tag: v1", "  tag: v1\n  tag: v2")
    yield lock.replace("  tag: v1", "  tag: v1\n  other: [1]\n  another: 1")
    yield f"{lock}more: 1\nfurther: 2\n"
    yield f"{lock}1: 1\n"
    yield f"{lock}null: 1\n"
    yield f"{lock}---\na: 1\n"
    yield f"{lock}---\n"
    yield f"---\n{lock}"
    yield f"{lock}...\n"
    yield f"# nothing\n---\n{lock.removeprefix('---')}"
    yield "# nothing\n"
    yield "null\n"
    yield "---\n"
    yield "1\n"
    yield "true\n"


def _images_locks() -> Iterator[str]:
    """Yield ImagesLocks that imgpkg takes, of all kinds."""
    image = "image: '{prefix}/image@{image}'"
    for value in ("{a: 1}", "{a: 1.50}", "{a: true}", "{a: null}", "{1: b}", "null"):
        yield LOCK.replace("[]", f"[{{{image}, annotations: {value}}}]")
    full = LOCK.replace("[]", f"[{{{image}}}]")
    yield full.replace("{image:", "{IMAGE:")
    yield full.replace("images:", "Images:")
    yield f"{full}---\na: 1\n"
    yield f"{full}---\n"
    yield f"{full}...\n"
    yield full.replace("---\n", "")


def _faulty_images_locks() -> Iterator[str]:
    """Yield what imgpkg takes for no ImagesLock, with faults of all kinds."""
    image = "image: '{prefix}/image@{image}'"
    full = LOCK.replace("[]", f"[{{{image}}}]")
    yield full.replace("kind: ImagesLock", "kind: 1")
    yield f"{full}kind: ImagesLock\n"
    yield "null\n"
    yield from (LOCK.replace("[]", f"[{{image: {value}}}]") for value in ("null", "true", "1", "[]", "{}", "''"))
    yield from (LOCK.replace("[]", f"[{{image: {value}}}]") for value in ("nginx", "nginx@sha256:a"))
    for value in ("{a: [b]}", "{a: {b: c}}", "[a]", "1"):
        yield LOCK.replace("[]", f"[{{{image}, annotations: {value}}}]")
    yield from (
        LOCK.replace("[]", f"[{entry}]") for entry in ("null", "1", "text", "[]", "{}", f"{{{image}, other: 1}}")
    )
    yield from (LOCK.replace("[]", value) for value in ("null", "1", "text", "{a: b}", "true"))
    yield full.replace("kind: ImagesLock\n", "")
    yield full.replace("kind: ImagesLock", "kind: BundleLock")
    yield full.replace("v1alpha1", "v1")
    yield full.replace("apiVersion: imgpkg.carvel.dev/v1alpha1\n", "")
    yield f"{full}other: 1\n"
    yield "[]\n"
    yield ""
    yield "# nothing\n"


def _locks() -> list[Case]:
    pulled, copied = Cases("imgpkg", "locks-pull", "pull"), Cases("imgpkg", "locks-copy", "copy")
    pushed = Cases("imgpkg", "locks-push", "push")
    for content in _bundle_locks():
        pulled.add("--lock lock.yml -o out", set_up=images, files={"lock.yml": content})
        copied.add("--lock lock.yml --to-repo {own}/to", set_up=images, files={"lock.yml": content})
    taken, faulty = list(_images_locks()), list(_faulty_images_locks())
    for content in (*taken, *faulty):
        copied.add(
            "--lock lock.yml --to-repo {own}/to --lock-output new.yml", set_up=images, files={"lock.yml": content}
        )
    for content in (*taken, *faulty[:4]):
        pushed.add(
            "-b {own}/app -f b && pull -b {own}/app -o out && copy -b {own}/app --to-repo {own}/to",
            set_up=images,
            files={**BUNDLE, "b/.imgpkg/images.yml": content},
        )
    return [*pulled.found, *copied.found, *pushed.found]


def _places() -> list[Case]:
    """Return references that bundlepipe takes for local stores, which are none to imgpkg."""
    cases = Cases("imgpkg", "places")
    for place in ("oci:/x", "tar:/x", "tar:a/B", "docker-daemon:app:1"):
        for command in (
            "push -b PLACE -f b",
            "push -i PLACE -f b/sub",
            "pull -b PLACE -o out",
            "pull -i PLACE -o out",
            "copy -b PLACE --to-repo {own}/to",
            "copy -i PLACE --to-tar x.tar",
            "copy -i {prefix}/image:v1 --to-repo PLACE",
            "describe -b PLACE",
            "tag list -i PLACE",
            "tag resolve -i PLACE",
        ):
            cases.add(command.replace("PLACE", place), set_up=images, files=BUNDLE)
    cases.add(
        "copy -i {prefix}/image:v1 --to-repo oci:layout",
        "copy -i {prefix}/image:v1 --to-repo tar:out.tar",
        "copy -i {prefix}/image:v1 --to-repo docker-daemon:app",
        # These ask Docker Hub.
        "pull -i oci:layout -o out --registry-retry-count 1",
        "push -b tar:out.tar -f b --registry-retry-count 1",
        set_up=images,
        files=BUNDLE,
    )
    return cases.found


_NUMBERS = (
    *("0x10", "0X1F", "0xg", "0x", "1_0", "_1", "1__0", "0x_1", "-1", "+3", "0b11", "0b2", "010", "08", "0o17", "0_7"),
    *("0", "9223372036854775808", "-9223372036854775809", "1e3", "1.5", "' 1'", "''", "--1", "-0x2"),
)
_TIMES = (
    *("5", "0", "-0", "+0", "1h2m", "-3s", "1.5h", "60.s", ".s", "1d", "1S", "' 1s'", "''", "-", "1h2", "90000000us"),
    *("90000000µs", "9223372036854775807ns", "9223372036854775808ns", "10000000h", "1h-2m", "1e3s", "1h 2m"),
    *("0.0000000001s", "5seconds"),
)
_TRUTHS = ("T", "TRUE", "1", "yes", "0", "f", "False", "no", "tRUE", "''", "2", "' true'", "on")


def _values() -> list[Case]:
    cases = Cases("imgpkg", "values")
    for number in _NUMBERS:
        cases.add(
            f"copy -i {{prefix}}/image:v1 --to-repo {{own}}/to --concurrency={number}",
            f"tag resolve -i {{prefix}}/image:v1 --registry-retry-count={number}",
            set_up=images,
        )
    cases.add("describe -b {prefix}/outer:v1 --concurrency=0x2", set_up=images)
    for time in _TIMES:
        cases.add(f"tag resolve -i {{prefix}}/image:v1 --registry-response-header-timeout={time}", set_up=images)
    for truth in _TRUTHS:
        cases.add(
            f"tag resolve -i {{prefix}}/image:v1 --registry-anon={truth}",
            f"pull -i {{prefix}}/inner:v1 -o out --image-is-bundle-check={truth}",
            set_up=images,
        )
        cases.add(
            "tag resolve -i {prefix}/image:v1",
            set_up=images,
            environment={"IMGPKG_ANON": truth.strip("'")},
        )
    return cases.found


def _files() -> list[Case]:
    cases = Cases("imgpkg", "files", "push")
    files = {
        **BUNDLE,
        **PLAIN,
        "dangling": Link("nowhere"),
        "loop": Link("loop"),
        "tofile": Link("f/a.txt"),
        "todir": Link("f"),
        "tobundle": Link("b"),
        "outside": Link("/etc"),
        "tonull": Link("/dev/null"),
        "d/inner": Link("../f"),
        "e/inner": Link("nowhere"),
        "g/inner": Link("/dev/null"),
        "h/.imgpkg": Link("../b/.imgpkg"),
        "i/.imgpkg/images.yml": Link("../../b/.imgpkg/images.yml"),
        "j/.imgpkg/images.yml": Link("nowhere"),
        ".imgpkg": Link("b/.imgpkg"),
        "m/.git": Link("nowhere"),
        "m/x": "x\n",
    }
    for path in (
        *("/dev/null", "dangling", "loop", "tofile", "todir", "todir/", "tobundle", "tobundle/"),
        *("tonull", "d", "e", "g", "h", "i", "j", ".imgpkg"),
        *("m", "f/a.txt/", "f//", "./f/../f", "''", "f/a.txt/x", "f/nowhere"),
    ):
        cases.add(
            f"-i {{own}}/app -f {path}", f"-b {{own}}/app -f {path}", f"-b {{own}}/app -f b -f {path}", files=files
        )
    for exclusion in (
        *(".", "./sub", "sub/", "/sub", "..", "''", "*", "a.txt"),
        *("f", "sub/b.txt", "nowhere", "'a.txt,sub'"),
    ):
        cases.add(f"-i {{own}}/app -f f --file-exclusion {exclusion}", files=PLAIN)
        cases.add(f"-b {{own}}/app -f b -f f --file-exclusion {exclusion}", files={**BUNDLE, **PLAIN})
    cases.add(
        "-b {own}/app -f b --file-exclusion .imgpkg",
        "-b {own}/app -f b --file-exclusion .imgpkg/images.yml",
        "-i {own}/app -f f/a.txt --file-exclusion .",
        "-b {own}/app -f b -f f/a.txt --file-exclusion .",
        "-i {own}/app -f f -f f --file-exclusion a.txt,sub,.git",
        "-i {own}/app -f f -f f --file-exclusion .",
        "-i {own}/app -f f/a.txt -f f/a.txt --file-exclusion a.txt",
        files={**BUNDLE, **PLAIN},
    )
    return cases.found


def _faults() -> list[Case]:
    """Return command lines with two faults: the one that is told is the one that imgpkg comes to first."""
    cases = Cases("imgpkg", "faults")
    pushes = ("-b {own}/App", "-f nowhere", "-l dev.carvel.imgpkg.bundle=x", "--registry-ca-cert-path nowhere", "-i x")
    pulls = (
        *("-b {prefix}/Outer", "-o ''", "-r", "--lock nowhere", "--image-is-bundle-check=false"),
        "-i {prefix}/image:v1",
    )
    copies = (
        *("-b {prefix}/Outer", "--tar nowhere", "--lock nowhere", "--to-repo {own}/To", "--to-tar nowhere/x"),
        *("--resume", "--lock-output nowhere/x", "--registry-ca-cert-path nowhere"),
    )
    for command, chosen in (("push", pushes), ("pull", pulls), ("copy", copies)):
        for one, other in itertools.combinations(chosen, 2):
            cases.add(f"{command} {one} {other}", set_up=images)
    cases.add("copy --concurrency 0 --resume", set_up=images)
    faulty = (
        "-i {prefix}/Image --registry-ca-cert-path nowhere",
        "-b x --column y -o z",
        "-i x --registry-anon=z rest",
    )
    for flags in faulty:
        cases.add(f"describe {flags}", f"tag list {flags}", f"tag resolve {flags}", set_up=images)
    return cases.found


def imgpkg_values_cases() -> Iterator[Case]:
    """Yield all that are written down here."""
    for cases in (_locks, _places, _values, _files, _faults):
        yield from cases()
