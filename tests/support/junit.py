"""The rules that two schemas of JUnit XML have in common, so that what keeps them is valid by both.

Sources: the schema of Ant's reports (github.com/windyroad/JUnit-Schema, JUnit.xsd) and that of Jenkins' xUnit plugin
(junit-10.xsd). The first is the stricter one: order, required attributes, types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

# A token has no spaces at its ends, and no other white space, once a parser has read it.
_SOMETHING, _ANYTHING = r"(?s).+", r"(?s).*"
_INTEGER, _DECIMAL = r"\d+", r"\d+\.\d+"
_DATE = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"
_COUNTS = dict.fromkeys(("tests", "failures", "errors", "skipped"), _INTEGER)
_SUITE = {
    "name": _SOMETHING, "package": _ANYTHING, "id": _INTEGER, "hostname": _SOMETHING, "timestamp": _DATE,
    "time": _DECIMAL, **_COUNTS,
}  # fmt: skip
_FAILED = {"type": _ANYTHING, "message": _ANYTHING}
# The attributes of each element, all of which it has, with patterns of their values.
_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "testsuites": {},
    "testsuite": _SUITE,
    "properties": {},
    "property": {"name": _SOMETHING, "value": _ANYTHING},
    "testcase": {"name": _ANYTHING, "classname": _ANYTHING, "time": _DECIMAL},
    "failure": _FAILED,
    "error": _FAILED,
    "skipped": {"message": _ANYTHING},
    "system-out": {},
    "system-err": {},
}
# What is in each element, in order, as a pattern of names that a comma follows.
_CONTENT: Mapping[str, str] = {
    "testsuites": "(testsuite,)*",
    "testsuite": "properties,(testcase,)*system-out,system-err,",
    "properties": "(property,)*",
    "testcase": "((skipped|error|failure),)?",
}
_WITH_TEXT = ("failure", "error", "skipped", "system-out", "system-err")


def junit_faults(root: Element) -> Iterator[str]:
    """Yield what a document has against the rules."""
    if root.tag != "testsuites":
        yield f"{root.tag}: the root is testsuites"
    for number, suite in enumerate(root):
        if suite.get("id") != str(number):
            yield f"id of suite {number}: they are counted from 0"
        found = {"tests": len(suite.findall("testcase"))}
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found[count] = len(suite.findall(f"testcase/{tag}"))
        yield from (f"suite {number}: {count}" for count in found if suite.get(count) != str(found[count]))
    for element in root.iter():
        yield from _faults(element)


def _faults(element: Element) -> Iterator[str]:
    tag = element.tag
    if tag not in _ATTRIBUTES:
        yield f"{tag}: there is no such element"
        return
    if set(element.attrib) != set(_ATTRIBUTES[tag]):
        yield f"{tag}: attributes {sorted(element.attrib)}"
    for name, value in element.attrib.items():
        if not re.fullmatch(_ATTRIBUTES[tag].get(name, _ANYTHING), value):
            yield f"{tag}: {name}={value!r}"
    if not re.fullmatch(_CONTENT.get(tag, ""), "".join(f"{child.tag}," for child in element)):
        yield f"{tag}: holds {[child.tag for child in element]}"
    if tag not in _WITH_TEXT and (element.text or "").strip():
        yield f"{tag}: holds text"
