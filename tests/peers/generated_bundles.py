"""Command lines of imgpkg on generated bundles of bundles and trees of files: the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference
from tests.peers.cases import Case, Cases
from tests.peers.scene import Scene
from tests.support.images import Layer, file_layer, put_bundle, put_cosign, put_image, put_index

_BUNDLES = range(1, 25)
_TREES = range(101, 141)

_LOCK = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages: []\nkind: ImagesLock\n"
_ARCHITECTURES = ("amd64", "arm64", "s390x")
# Whose places in an archive differ: by bytes, by letters, by case; and what does not fit into a header.
_NAMES = ("a", "B", "_", "a b", "a.yml", "ä", "日本", "x" * 90, "-n", "a-b", "A", "0", ".hidden", "a,b", "README.md")


def _make_bundles(seed: int, scene: Scene) -> None:
    """Put images, indexes and bundles that nest bundles in place: `top` names what the last one is."""
    choose = random.Random(seed)
    layers = [file_layer(f"layer{number}", f"{seed} {number}") for number in range(6)]
    leaves = [_leaf(choose, scene, layers, number) for number in range(choose.randint(1, 5))]
    bundles: list[Reference] = []
    for number in range(choose.randint(1, 4)):
        images = choose.sample(leaves, choose.randint(0, len(leaves)))
        images += choose.sample(bundles, choose.randint(min(1, len(bundles)), len(bundles)))
        choose.shuffle(images)
        repository = scene.repository(choose.choice(("app", f"nested/bundle{number}")))
        bundle = put_bundle(scene.stores, repository.tagged(f"v{number}"), images, {"n": f"{seed} {number}"})
        bundles.append(repository.at(bundle.digest))
        scene.digests["top"] = str(bundles[-1])
        scene.digests["top-repository"] = str(repository)
        scene.digests["top-tag"] = f"v{number}"
    scene.digests["leaf"] = str(leaves[0])


def _leaf(choose: random.Random, scene: Scene, layers: list[Layer], number: int) -> Reference:
    repository = scene.repository(choose.choice(("images", f"image{number}")))
    store = scene.store(repository.path.partition("/")[2])
    is_oci = choose.random() < 0.5

    def image(architecture: str) -> Manifest:
        some = choose.sample(layers, choose.randint(1, 3))
        if choose.random() < 0.2:
            some[-1] = some[-1].as_foreign()
        return put_image(store, *some, oci=is_oci, platform={"os": "linux", "architecture": architecture})

    children = [image(architecture) for architecture in _ARCHITECTURES[: choose.choice((1, 1, 1, 2, 3))]]
    found = children[0] if len(children) == 1 else put_index(store, children, oci=is_oci, tag=f"i{number}")
    if choose.random() < 0.4:
        put_cosign(store, found, choose.choice(("sig", "att", "sbom")))
    return repository.at(found.digest)


def _set_up(seed: int) -> Callable[[Scene], None]:
    def make(scene: Scene) -> None:
        _make_bundles(seed, scene)

    # What it makes is below this path.
    make.__name__ = f"bundles-{seed}"
    return make


def _on_bundles(cases: Cases, seed: int) -> None:
    choose = random.Random(seed)

    def some(*flags: str) -> str:
        return "".join(f" {flag}" for flag in flags if choose.random() < 0.35)

    def top() -> str:
        return choose.choice(("{top}", "{top-repository}:{top-tag}"))

    shared = ("--cosign-signatures", "--include-non-distributable-layers")
    flags = some("--repo-based-tags", *shared, "--tty", "--lock-output lock.yml", "--concurrency 2")
    to_repo = "copy -b {top-repository}:{top-tag} --to-repo {own}/to"
    internal_tags = "tag list -i {own}/to --imgpkg-internal-tags"
    to_tar = f"copy -b {top()} --to-tar out.tar{some(*shared)}"
    cases.add(
        f"{to_repo}{flags}",
        f"{to_tar} --tty",
        f"{to_tar} && copy --tar out.tar --to-repo {{own}}/to{some('--tty', '--repo-based-tags', *shared)}",
        f"{to_repo} && copy -b {{own}}/to:{{top-tag}} --to-repo {{own}}/again --tty",
        f"{to_repo}{some(*shared)} && pull -b {{own}}/to:{{top-tag}} -o out -r{some('--tty')}",
        f"pull -b {top()} -o out{some('-r', '--tty')}",
        f"describe -b {top()}{some('--layers=false', '--cosign-artifacts=false', '-o yaml')}",
        f"copy -i {{leaf}} --to-repo {{own}}/to{some('--tty', *shared)} && {internal_tags}",
        set_up=_set_up(seed),
    )


def _on_trees(cases: Cases, seed: int) -> None:
    choose = random.Random(seed)
    files: dict[str, str] = {}
    for _ in range(choose.randint(1, 12)):
        path = "/".join(choose.choice(_NAMES) for _ in range(choose.randint(1, 3)))
        # A name is that of a file or of a directory.
        if not any(f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/") for other in files):
            files[path] = choose.choice(("", "a\n", "x" * 5000))
    inputs = {f"in/{path}": content for path, content in files.items()}
    is_bundle = choose.random() < 0.6
    if is_bundle:
        inputs["in/.imgpkg/images.yml"] = _LOCK
    exclusions = "".join(f" --file-exclusion '{name}'" for name in choose.sample(_NAMES, choose.choice((0, 0, 1, 3))))
    labels = "".join(f" -l {label}" for label in ("a=b", "x.y/z=1") if choose.random() < 0.3)
    kind = "-b" if is_bundle else "-i"
    more = choose.choice(("", "", " -f other", " -f in/../other/z"))
    push = f"push {kind} {{own}}/app:v1 -f in{more}{exclusions}{labels}"
    inputs["other/z"] = "z\n"
    cases.add(f"{push} --tty && pull {kind} {{own}}/app:v1 -o out --tty", files=inputs)


def generated_bundles() -> Iterator[Case]:
    """Yield the command lines of all seeds."""
    for seed in _BUNDLES:
        cases = Cases("imgpkg", f"generated-{seed}")
        _on_bundles(cases, seed)
        yield from cases.found
    for seed in _TREES:
        cases = Cases("imgpkg", f"generated-{seed}")
        _on_trees(cases, seed)
        yield from cases.found
