from __future__ import annotations

from typing import Any

import pytest

from bundlepipe.documents.search.files import search_images
from bundlepipe.documents.search.rules import (
    DEFAULT_RULE,
    AnyIndex,
    ImageMatcher,
    KeyMatcher,
    PathPart,
    SearchRule,
    UpdateStrategy,
    Within,
    repository_text,
)
from bundlepipe.errors import DocumentError


def found(text: str, *rules: SearchRule) -> list[str]:
    return [image.value for image in search_images(text.encode(), "f.yml", rules).images]


def places(text: str, *rules: SearchRule) -> list[str]:
    return [image.where for image in search_images(text.encode(), "f.yml", rules).images]


def problems(text: str | bytes, *rules: SearchRule, path: str = "f.yml") -> list[str]:
    with pytest.raises(DocumentError) as caught:
        search_images(text if isinstance(text, bytes) else text.encode(), path, rules)
    return list(caught.value.problems)


def named(name: str, strategy: UpdateStrategy = "entireValue") -> SearchRule:
    return SearchRule(key=KeyMatcher(name=name), strategy=strategy)


def at(*path: PathPart, strategy: UpdateStrategy = "entireValue") -> SearchRule:
    return SearchRule(key=KeyMatcher(path=path), strategy=strategy)


def valued(image: str | None = None, repo: str | None = None, strategy: UpdateStrategy = "entireValue") -> SearchRule:
    return SearchRule(value=ImageMatcher(image=image, image_repo=repo), strategy=strategy)


# Rules.


def test_default_rule_takes_keys_named_image_at_any_depth() -> None:
    assert found("image: a\nb:\n- image: c\n  d: {image: e}\n") == ["a", "c", "e"]


def test_default_rule_takes_no_other_keys() -> None:
    assert found("images: a\nIMAGE: b\nmy-image: c\nb: [image]\nimage: [d]\n") == []


def test_default_rule_looks_below_mappings_and_lists() -> None:
    assert found("image: {image: a, tag: b}\nb: {image: [c, {image: d}]}\n") == ["a", "d"]


def test_key_name_takes_keys_of_that_name_beside_the_default() -> None:
    assert found("sidecar: a\nb: {sidecar: c, image: d}\n", named("sidecar")) == ["a", "c", "d"]


def test_key_name_is_none_of_a_list_item() -> None:
    assert found("a: [b, c]\n", named("0")) == []


def test_key_path_of_literals_has_to_be_the_whole_path() -> None:
    text = "spec: {proxy: a}\nproxy: b\nother: {spec: {proxy: c}}\n"
    assert found(text, at("spec", "proxy")) == ["a"]


def test_key_path_with_index_takes_one_item() -> None:
    assert found("args: [a, b, c]\n", at("args", 1)) == ["b"]


def test_key_path_with_all_indexes_takes_every_item() -> None:
    assert found("a: [{b: x}, {b: y}, {c: z}]\n", at("a", AnyIndex(), "b")) == ["x", "y"]


def test_key_path_tells_indexes_from_keys() -> None:
    assert found("a: {0: x}\nb: [y]\n", at("a", 0), at("b", "0"), at("a", AnyIndex())) == []


def test_key_path_of_an_aliased_mapping_is_that_of_each_place() -> None:
    text = "a: &m {x: nginx}\nb: *m\n"
    file = search_images(text.encode(), "f.yml", [at("b", "x")])
    assert [image.where for image in file.images] == ["f.yml:1:11"]
    assert file.replaced({"nginx": "r.io/n"}) == b"a: &m {x: r.io/n}\nb: *m\n"


def test_key_path_goes_through_merges_to_what_they_bring() -> None:
    text = "a: &m {x: nginx, y: httpd}\nb: {<<: *m, x: caddy}\n"
    assert found(text, at("b", "x")) == ["caddy"]
    assert found(text, at("b", "y")) == ["httpd"]


def test_value_image_compares_the_whole_reference() -> None:
    assert found("a: nginx:1\nb: [nginx:1, nginx, docker.io/library/nginx:1]\n", valued("nginx:1")) == ["nginx:1"] * 2


def test_value_image_repo_compares_what_is_before_tag_and_digest() -> None:
    text = f"a: nginx\nb: [nginx:1, 'nginx@sha256:{'0' * 64}', docker.io/library/nginx, r.io:5000/nginx]\n"
    assert found(text, valued(repo="nginx")) == ["nginx", "nginx:1", f"nginx@sha256:{'0' * 64}"]
    assert found("a: r.io:5000/nginx:1\n", valued(repo="r.io:5000/nginx")) == ["r.io:5000/nginx:1"]


def test_value_matchers_take_texts_alone() -> None:
    assert found("a: 1\nb: '1'\n", valued("1")) == ["1"]


def test_key_and_value_matchers_are_anded() -> None:
    rule = SearchRule(key=KeyMatcher(name="a"), value=ImageMatcher(image_repo="nginx"))
    assert found("a: nginx:1\nb: {a: httpd}\nc: nginx:1\n", rule) == ["nginx:1"]
    assert places("a: httpd\nb: {a: nginx}\n", rule) == ["f.yml:2:8"]


def test_first_rule_that_matches_wins() -> None:
    text = "a: 'image: nginx'\n"
    assert found(text, named("a"), named("a", Within("yaml", (DEFAULT_RULE,)))) == ["image: nginx"]
    assert found(text, named("a", Within("yaml", (DEFAULT_RULE,))), named("a")) == ["nginx"]


def test_default_rule_comes_last() -> None:
    assert found("image: a\nb: {image: c}\n", at("image", strategy="none")) == ["c"]


def test_entire_value_takes_the_value_for_the_reference() -> None:
    file = search_images(b"a: nginx # c\n", "f.yml", [named("a", "entireValue")])
    assert file.replaced({"nginx": "r.io/n:1"}) == b"a: r.io/n:1 # c\n"


def test_none_leaves_the_value_but_not_what_is_below() -> None:
    rule = named("image", "none")
    assert found("image: a\nb: {image: [{image: c, sidecar: d}]}\n", rule, named("sidecar")) == ["d"]
    assert found("image: {a: {image: b}}\n", at("image", strategy="none")) == ["b"]


def test_none_by_value_excepts_a_reference() -> None:
    assert found("image: keep:1\nb: {image: nginx}\n", valued(repo="keep", strategy="none")) == ["nginx"]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_texts_within_are_searched_by_their_own_rules_alone(form: Any) -> None:
    text = """a: '{"image": "nginx", "sidecar": "httpd"}'\nimage: caddy\n"""
    assert found(text, named("a", Within(form, (named("sidecar"),)))) == ["httpd", "caddy"]
    assert found(text, named("a", Within(form, ())), named("sidecar")) == ["caddy"]


def test_yaml_within_has_several_documents_and_paths_of_their_own() -> None:
    rule = named("a", Within("yaml", (at("b", 0),)))
    assert found("a: |\n  b: [x]\n  ---\n  b: [y, z]\n", rule) == ["x", "y"]


def test_json_within_may_hold_tabs() -> None:
    text = 'a: |\n  {\n  \t"image": "nginx"}\n'
    assert places(text, named("a", Within("json", (DEFAULT_RULE,)))) == ["f.yml:3:13"]


def test_text_within_may_be_empty_or_hold_nothing() -> None:
    rule = named("a", Within("yaml", (DEFAULT_RULE,)))
    assert found("a: ''\nb: {a: '# nothing'}\nc: {a: |\n}\n".replace("|\n", "' '"), rule) == []


def test_items_are_searched_as_documents_of_their_own() -> None:
    text = "kind: List\nitems:\n- spec: {a: x}\n- spec: {a: y}\nspec: {a: z}\n"
    assert found(text, at("spec", "a")) == ["x", "y", "z"]
    assert found(text, at("items", AnyIndex(), "spec", "a")) == []


def test_items_that_are_no_list_are_part_of_the_document() -> None:
    assert found("items: {a: x}\n", at("items", "a")) == ["x"]
    assert found("b: {items: [{a: x}]}\n", at("b", "items", 0, "a")) == ["x"]


# What is no reference.


@pytest.mark.parametrize(
    "text", ["1_000", "+1_0", "0b11", "-0b1", "0X1F", "0o17", "1_0.5", ".5_0", "08", "1_", "&a 0b1"]
)
def test_what_is_a_number_to_kbld_and_kubectl_is_none_but_in_quotes(text: str) -> None:
    assert found(f"image: {text}\n") == []
    if "&" not in text:
        assert found(f"a: {{image: '{text}'}}\nb: {{image: !!str {text}}}\n") == [text, text]


@pytest.mark.parametrize("text", ["_1", "1_a", "0b2", "0x", "1:30", "2001-01-01", "y", "Yes", ".", "<<", "="])
def test_what_is_no_number_is_a_reference(text: str) -> None:
    assert found(f"image: {text}\n") == [text]


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("a", "a"),
        ("a:1", "a"),
        ("a:1@sha256:x", "a"),
        ("host:1/a", "host:1/a"),
        ("host:1/a:b", "host:1/a"),
        ("host:1", "host"),
        (":1", ":1"),
        ("a:", "a:"),
        ("a@b", "a@b"),
        ("a@b:1@c:d", "a"),
        ("a:\u00e9", "a:\u00e9"),
        ("a b:1", "a b"),
        ("", ""),
    ],
)
def test_the_repository_of_a_reference_is_what_stands_before_tag_and_digest(reference: str, repository: str) -> None:
    assert repository_text(reference) == repository


def test_numbers_and_truth_values_are_settings() -> None:
    assert found("image: 1\nb: {image: true, c: {image: 1.5}}\nd: {image: }\ne: {image: ~}\n") == []


def test_an_empty_reference_is_a_fault() -> None:
    assert problems("image: ''\nb:\n  image: !!str\n") == [
        "f.yml:1:8: the image is empty, expected a reference",
        "f.yml:3:10: the image is empty, expected a reference",
    ]


HELM = (
    "render it first; in a pipeline name the program that does: "
    "lock.files: [{run: [helm, template, chart], files: [chart]}]"
)
YTT = (
    "render it first; in a pipeline name the program that does: lock.files: [{run: [ytt, -f, config], files: [config]}]"
)


@pytest.mark.parametrize(
    ("text", "column"),
    [("image: {{ .Values.image }}", 8), ("image: '{{ .Values.image }}:1'", 8), ("a: {image: '{{.a}}'}", 12)],
)
def test_an_expression_of_a_template_is_a_fault(text: str, column: int) -> None:
    assert problems(text) == [f"f.yml:1:{column}: the image is a template's expression: {HELM}"]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("image: #@ data.values.image\n", 7),
        ("image:   #@ data.values.image", 7),
        ("image: ~ #@ data.values.image\n", 8),
        ("image: (@= data.values.image @)\n", 8),
        ("- image: #@ f()\n  b: 1\n", 9),
    ],
)
def test_an_expression_of_ytt_is_a_fault(text: str, column: int) -> None:
    assert problems(text) == [f"f.yml:1:{column}: the image is a ytt expression: {YTT}"]


def test_other_nulls_and_comments_are_none() -> None:
    assert found("#@ load('a')\nimage: # none yet\nb: {image: } # [@]\n#@ end\nc: #@ 1\nd: {image: , e: '#@'}\n") == []


def test_expressions_count_where_a_rule_matches() -> None:
    rule = at("a")
    assert problems("a: #@ x\nb: #@ y\n", rule) == [f"f.yml:1:3: the image is a ytt expression: {YTT}"]
    assert problems("a: {{ x }}\n", rule) == [f"f.yml:1:4: the image is a template's expression: {HELM}"]
    assert found("image: #@ x\nb: {image: {{ y }}}\n", named("image", "none")) == []


@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("a: 1\n{{ if .Values.b }}\nimage: x\n{{ end }}\n", "f.yml:2:1: ", f"; if this is a template, {HELM}"),
        ("image: {{ .Values.a }}:{{ .Values.b }}\n", "f.yml:1:", f"; if this is a template, {HELM}"),
        ("#@ if a:\n- a\nb: 1\n#@ end\n", "f.yml:3:1: ", f"; if this is a ytt template, {YTT}"),
    ],
)
def test_a_template_that_is_no_yaml_is_told_how_to_render_it(text: str, place: str, advice: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(place)
    assert problem.endswith(advice)


def test_other_text_that_is_no_yaml_is_not_called_a_template() -> None:
    (problem,) = problems("a: 1\n b: 2\n")
    assert problem.startswith("f.yml:2:3: ")
    assert "template" not in problem


def test_all_faults_are_told_at_their_places() -> None:
    rule = named("c", Within("yaml", (DEFAULT_RULE,)))
    text = 'image: ""\nc: |\n  a: 1\n  image: ""\n---\nb:\n- c: "x: 1\\n  y: 2"\n- {image: {{ x }}}\n'
    assert [problem.partition(" ")[0] for problem in problems(text, rule)] == [
        "f.yml:1:8:",
        "f.yml:4:10:",
        "f.yml:7:16:",
        "f.yml:8:11:",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"image: \xff", "f.yml:1:8: the byte 0xff is not UTF-8, expected a file in UTF-8"),
        (b"image: \x07", "f.yml:1:8: the control character U+0007, which YAML does not allow"),
        ("\ufeff\ufeffimage: x".encode(), "f.yml:1:1: a byte order mark, which has no place here"),
    ],
)
def test_what_is_no_text_of_yaml_is_a_fault(content: bytes, problem: str) -> None:
    assert problems(content) == [problem]


@pytest.mark.parametrize("escape", ["\\0", "\\uFEFF"])
def test_what_is_no_text_within_is_a_fault(escape: str) -> None:
    rule = named("a", Within("yaml", (DEFAULT_RULE,)))
    (problem,) = problems(f'b: 1\na: "{escape}image: x"\n', rule)
    assert problem.startswith("f.yml:2:5: in this string: ")


# Replacing.


def test_a_tab_in_front_of_a_value_or_comment_stays() -> None:
    file = search_images(b"image:\tnginx\t# c\n", "f.yml")
    assert file.replaced({"nginx": "r.io/n:1"}) == b"image:\tr.io/n:1\t# c\n"


@pytest.mark.parametrize("new", ["a: b", "a #b", "[a]", "1.5", "true", "12:30", "", " a", "a\nb", "é\u2028\x07"])
@pytest.mark.parametrize("written", ["nginx", "'nginx'", '"nginx"', "|-\n  nginx", ">-\n  nginx\n"])
def test_any_text_can_be_put_in_place_of_a_reference(new: str, written: str) -> None:
    text = f"a: 1\nimage: &x {written}\nb: *x\n"
    rendered = search_images(text.encode(), "f.yml").replaced({"nginx": new})
    assert rendered.startswith(b"a: 1\nimage: &x ")
    assert rendered.endswith(b"\nb: *x\n")
    assert search_images(rendered, "f.yml", [valued(new)]).images[0].value == new if new else b'""' in rendered


def test_a_reference_is_replaced_wherever_it_stands() -> None:
    file = search_images(b"- image: a\n- image: 'a'\n- image: b\n- name: a\n", "f.yml")
    assert file.replaced({"a": "r.io/c"}) == b"- image: r.io/c\n- image: 'r.io/c'\n- image: b\n- name: a\n"


# Documents that configure kbld.

CONFIG = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides: [{image: x, newImage: y}]\n"
LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages: [{image: x}]\n"


def test_configuration_is_not_searched() -> None:
    file = search_images(f"image: a\n---\n{CONFIG}---\nimage: b\n".encode(), "f.yml")
    assert [image.value for image in file.images] == ["a", "b"]
    assert file.has_configuration
    assert file.replaced({"x": "z"}) == f"image: a\n---\n{CONFIG}---\nimage: b\n".encode()


def test_other_documents_are_none() -> None:
    file = search_images(b"apiVersion: v1\nkind: Config\nimage: a\n---\nkind: ImagesLock\n", "f.yml")
    assert not file.has_configuration


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        (f"image: a\n---\n{CONFIG}---\nimage: b\n", "image: z\n---\nimage: b\n"),
        (f"{CONFIG}---\nimage: a\n", "---\nimage: z\n"),
        (f"# licence\n--- # config\n{LOCK}# end\n---\nimage: a\n", "# licence\n---\nimage: z\n"),
        (f"image: a\n---\n{LOCK}---\n{CONFIG}", "image: z\n"),
        (f"image: a\n... # c\n---\n{CONFIG}...\n", "image: z\n... # c\n"),
        (f"image: a\n---\n{CONFIG}...\n%YAML 1.1\n---\nb: 1\n", "image: z\n...\n%YAML 1.1\n---\nb: 1\n"),
        (f"%YAML 1.1\n---\n{CONFIG}...\n%YAML 1.1\n---\nimage: a\n", "%YAML 1.1\n---\nimage: z\n"),
        (CONFIG, ""),
        (f"\ufeff{CONFIG}---\nimage: a", "\ufeff---\nimage: z"),
    ],
)
def test_rendering_leaves_configuration_out(text: str, rendered: str) -> None:
    file = search_images(text.encode(), "f.yml")
    assert file.rendered({"a": "z"}).decode() == rendered
    assert not search_images(file.rendered({}), "f.yml").has_configuration
