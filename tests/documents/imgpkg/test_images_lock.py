from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.imgpkg.images_lock import API_VERSION, KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference

HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NGINX = Reference.parse(f"index.docker.io/library/nginx@{A}")

REPOSITORIES = st.sampled_from(
    ["index.docker.io/library/nginx", "registry.example:5000/a", "[::1]:5000/a/b", "0.0.0.0/a", "localhost:1/1e3"]
)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda data: "sha256:" + data.hex())
TEXTS = st.text(st.characters(blacklist_categories=["Cs"]))
LOCKS = st.lists(
    st.builds(
        ImageRef,
        st.builds("{}@{}".format, REPOSITORIES, DIGESTS).map(Reference.parse),
        st.dictionaries(TEXTS, TEXTS, max_size=4),
    ),
    max_size=5,
).map(lambda images: ImagesLock(tuple(images)))


def read(text: str) -> ImagesLock:
    return ImagesLock.parse(text.encode(), "images.yml")


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        ImagesLock.parse(text.encode() if isinstance(text, str) else text, "images.yml")
    return list(caught.value.problems)


def test_a_lock_is_written_as_imgpkg_writes_it() -> None:
    lock = ImagesLock(
        (
            ImageRef(
                Reference.parse(f"registry.example:5000/app@{B}"),
                {
                    "kbld.carvel.dev/origins": "- resolved:\n    tag: 1.0\n    url: registry.example:5000/app:1.0\n",
                    KBLD_ID: "registry.example:5000/app:1.0",
                },
            ),
            ImageRef(NGINX, {KBLD_ID: "1.0"}),
            ImageRef(NGINX),
        )
    )
    assert lock.to_bytes().decode() == (
        "---\n"
        "apiVersion: imgpkg.carvel.dev/v1alpha1\n"
        "images:\n"
        "- annotations:\n"
        "    kbld.carvel.dev/id: registry.example:5000/app:1.0\n"
        "    kbld.carvel.dev/origins: |\n"
        "      - resolved:\n"
        "          tag: 1.0\n"
        "          url: registry.example:5000/app:1.0\n"
        f"  image: registry.example:5000/app@{B}\n"
        "- annotations:\n"
        '    kbld.carvel.dev/id: "1.0"\n'
        f"  image: index.docker.io/library/nginx@{A}\n"
        f"- image: index.docker.io/library/nginx@{A}\n"
        "kind: ImagesLock\n"
    )


def test_images_are_left_out_where_there_are_none() -> None:
    assert ImagesLock().to_bytes() == b"---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
    assert API_VERSION == "imgpkg.carvel.dev/v1alpha1"


def test_a_tag_beside_the_digest_is_not_written() -> None:
    lock = ImagesLock((ImageRef(Reference.parse(f"nginx:1.2@{A}")),))
    assert lock.to_bytes() == ImagesLock((ImageRef(NGINX),)).to_bytes()


def test_an_image_without_digest_is_not_written() -> None:
    with pytest.raises(InvalidReference, match=r"^'index\.docker\.io/library/nginx:1\.2' is not a digest reference"):
        ImagesLock((ImageRef(Reference.parse("nginx:1.2")),)).to_bytes()


@pytest.mark.parametrize("images", ["", "images: null\n", "images: ~\n", "images:\n", "images: []\n"])
def test_images_may_be_absent_null_or_empty(images: str) -> None:
    assert read(HEAD + images) == ImagesLock()


@pytest.mark.parametrize("annotations", ["", ", annotations: null", ", annotations: ", ", annotations: {}"])
def test_annotations_may_be_absent_null_or_empty(annotations: str) -> None:
    assert read(f"{HEAD}images: [{{image: 'nginx@{A}'{annotations}}}]") == ImagesLock((ImageRef(NGINX),))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        ("-5", "-5"),
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("0.00001", "1e-05"),
        ("0.0001", "0.0001"),
        ("-2.5e-7", "-2.5e-07"),
        ("100000.0", "100000"),
        ("1e3", "1000"),
        ("1000000.0", "1e+06"),
        ("1234567.5", "1.2345675e+06"),
        ("0.0", "0"),
        ("-0.0", "-0"),
        (".inf", "+Inf"),
        ("-.inf", "-Inf"),
        (".nan", "NaN"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("1" + "0" * 400, "+Inf"),
        ("true", "true"),
        ("False", "false"),
        ("null", ""),
        ("yes", "yes"),
        ("2020-01-01", "2020-01-01"),
        ("'1'", "1"),
    ],
)
def test_annotations_that_are_no_texts_become_what_go_makes_of_them(value: str, text: str) -> None:
    lock = read(f"{HEAD}images:\n- image: nginx@{A}\n  annotations:\n    a: {value}\n")
    assert lock.images[0].annotations == {"a": text}


@pytest.mark.parametrize("value", ["[x]", "{x: y}"])
def test_annotations_that_no_text_can_be_made_of_are_problems(value: str) -> None:
    (problem,) = problems(f"{HEAD}images:\n- image: nginx@{A}\n  annotations:\n    a: {value}\n")
    assert problem.startswith("images.yml:6:8: 'a': expected a string, found a ")


@pytest.mark.parametrize(
    "written",
    [
        f"nginx@{A}",
        f"nginx:1.2@{A}",
        f"docker.io/nginx@{A}",
        f"library/nginx@{A}",
        f"index.docker.io/library/nginx@{A}",
    ],
)
def test_references_are_spelled_out_and_lose_their_tag(written: str) -> None:
    assert read(f"{HEAD}images:\n- image: {written}\n") == ImagesLock((ImageRef(NGINX),))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("nginx:1.2", "'nginx:1.2' is not a digest reference, expected one such as nginx:1.2@sha256:<64 digits>"),
        ("nginx@sha256:abc", "'nginx@sha256:abc' is not an image reference: 'sha256:abc': expected 64 lower-case hex"),
        (f"NGINX@{A}", f"'NGINX@{A}': repository names are lower case, but 'NGINX' is not"),
        ("''", "an image reference is empty"),
        (f'"a\\nb@{A}"', f"'a\\nb@{A}': 'a\\nb' cannot be part of a repository name"),
        ("5", "'image': expected a string, found 5 (quote it)"),
        ("[]", "'image': expected a digest reference, such as registry.example/app@sha256:<64 digits>, found a list"),
        ("", "'image': expected a digest reference, such as registry.example/app@sha256:<64 digits>, found nothing"),
    ],
)
def test_an_image_that_is_no_digest_reference_is_a_problem_at_its_value(written: str, problem: str) -> None:
    (found,) = problems(f"{HEAD}images:\n- image: {written}\n")
    assert found.startswith(f"images.yml:4:{10 if written else 9}: {problem}")


def test_a_problem_is_one_line_of_bounded_length_whatever_the_value() -> None:
    (found,) = problems(f"{HEAD}images:\n- image: '{'x' * 100_000}'\n")
    assert len(found) < 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HEAD}imges: []\n", ["images.yml:3:1: unknown key 'imges', did you mean 'images'?"]),
        (
            f"{HEAD}images:\n- image: nginx@{A}\n  annotation: {{}}\n",
            ["images.yml:5:3: unknown key 'annotation', did you mean 'annotations'?"],
        ),
        (f"{HEAD}kind: ImagesLock\n", ["images.yml:3:1: duplicate key 'kind', expected once: it is in line 2 already"]),
        (
            f"{HEAD}images:\n- image: nginx@{A}\n  image: nginx@{A}\n",
            ["images.yml:5:3: duplicate key 'image', expected once: it is in line 4 already"],
        ),
        (
            f"{HEAD}images:\n- image: nginx@{A}\n  annotations: {{a: b, a: c}}\n",
            ["images.yml:5:23: duplicate key 'a', expected once: it is in line 5 already"],
        ),
        ("kind: ImagesLock\n", ["images.yml:1:1: missing key 'apiVersion', expected 'imgpkg.carvel.dev/v1alpha1'"]),
        (f"apiVersion: {API_VERSION}\n", ["images.yml:1:1: missing key 'kind', expected 'ImagesLock'"]),
        (HEAD.replace("alpha1", "beta1"), ["images.yml:1:13: 'apiVersion' is 'imgpkg.carvel.dev/v1beta1', expected"]),
        (HEAD.replace("Images", "Bundle"), ["images.yml:2:7: 'kind' is 'BundleLock', expected 'ImagesLock'"]),
        (f"{HEAD}images: 5\n", ["images.yml:3:9: 'images': expected a list of images, found 5"]),
        (f"{HEAD}images: [x]\n", ["images.yml:3:10: 'images[0]': expected a mapping with the key 'image', found 'x'"]),
        ("- a\n", ["images.yml:1:1: the document: expected a mapping, found a list"]),
        ("", ["images.yml:1:1: the file is empty, expected one YAML document"]),
        (f"{HEAD}---\n{HEAD}", ["images.yml:4:1: 2 YAML documents in one file, expected one"]),
        ("a: 'b", ["images.yml:1:4: the quoted string is not closed"]),
    ],
)
def test_what_imgpkg_refuses_is_a_problem(text: str, expected: list[str]) -> None:
    found = problems(text)
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


def test_all_problems_of_a_file_are_reported_at_once_and_in_order() -> None:
    text = f"{HEAD}images:\n- image: nginx\n- imag: x\n- image: nginx@{A}\n  annotations: 1\nmore: x\n"
    assert [problem.partition(": ")[0] for problem in problems(text)] == [
        "images.yml:4:10",
        "images.yml:5:3",
        "images.yml:5:3",
        "images.yml:7:16",
        "images.yml:8:1",
    ]


@given(LOCKS)
def test_what_is_written_is_read_again(lock: ImagesLock) -> None:
    written = lock.to_bytes()
    assert written.startswith(b"---\napiVersion: ")
    assert ImagesLock.parse(written, "images.yml") == lock


@given(LOCKS)
def test_a_reader_of_yaml_1_1_reads_the_same(lock: ImagesLock) -> None:
    document = yaml.safe_load(lock.to_bytes())
    assert list(document) == sorted(document)
    assert document.get("images", []) == [
        {"image": str(ref.image), **({"annotations": ref.annotations} if ref.annotations else {})}
        for ref in lock.images
    ]


@given(LOCKS.filter(lambda lock: bool(lock.images)), st.data())
def test_a_faulty_image_is_reported_in_its_line(lock: ImagesLock, data: st.DataObject) -> None:
    lines = lock.to_bytes().decode().split("\n")
    candidates = [number for number, line in enumerate(lines) if line.startswith(("  image: ", "- image: "))]
    number = data.draw(st.sampled_from(candidates))
    lines[number] = lines[number].replace("@sha256:", ":")
    (problem,) = problems("\n".join(lines))
    assert problem.startswith(f"images.yml:{number + 1}:10: ")


@given(st.text(max_size=80) | st.text(max_size=40).map(HEAD.__add__))
def test_any_text_gives_a_lock_or_problems(text: str) -> None:
    try:
        content = text.encode("utf-8", "surrogatepass")
        assert isinstance(ImagesLock.parse(content, "images.yml"), ImagesLock)
    except DocumentError as error:
        reported = error.problems
        assert [problem for problem in reported if not problem.startswith("images.yml:")] == []


def test_importing_the_documents_loads_neither_yaml_nor_jsonschema() -> None:
    locks = ("imgpkg.images_lock", "imgpkg.bundle_lock", "imgpkg.bundle", "imgpkg.image_locations")
    modules = (*locks, "schemas.validator", "yaml.fault", "yaml.writer")
    program = "import sys, bundlepipe.documents\n"
    program += "".join(f"import bundlepipe.documents.{module}\n" for module in modules)
    program += "print(sorted({'yaml', 'jsonschema', 'referencing'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("base", ["", "||||||| 12ab\n"])
def test_conflict_marks_are_called_so(base: str) -> None:
    head = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n"
    conflict = (
        f"<<<<<<< HEAD\n- image: x@sha256:{'a' * 64}\n{base}=======\n- image: x@sha256:{'b' * 64}\n>>>>>>> main\n"
    )
    with pytest.raises(DocumentError) as caught:
        ImagesLock.parse((head + conflict).encode(), "images.yml")
    (told,) = caught.value.problems
    assert told.startswith(
        "images.yml:4:1: a merge conflict that git left here ('<<<<<<< HEAD'): keep the lines of one"
    )
