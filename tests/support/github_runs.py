"""Which jobs of a workflow GitHub runs: its expressions, and its rules of `needs` and `if`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r"'(?:[^']|'')*'|&&|\|\||!=|==|[!()\[\],]|[\w-]+(?:\.[\w-]+)*|\.[\w-]+|\s+")
_OPERATORS = {"&&": " and ", "||": " or ", "!": " not ", "null": "None", "true": "True", "false": "False"}
_STATUS = ("success()", "failure()", "always()", "cancelled()")


class _Value:
    """A value of JSON, in which an index beyond an end and a missing key are null, as is what they are asked for."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getitem__(self, key: int | str) -> _Value:
        if isinstance(key, int):
            return _Value(self.value[key] if isinstance(self.value, list) and key < len(self.value) else None)
        return _Value(self.value.get(key) if isinstance(self.value, dict) else None)

    def __eq__(self, other: object) -> bool:
        # Null and an empty string are the same number.
        return (self.value or "") == other

    __hash__ = None  # type: ignore[assignment]


def evaluated(expression: str, contexts: Mapping[str, str], functions: Mapping[str, Callable[..., Any]]) -> Any:
    """Return the value of an expression without its `${{ }}`; names that no context has are null."""
    parts = []
    for token in _TOKEN.findall(expression):
        if token[0] == "'":
            parts.append(repr(token[1:-1].replace("''", "'")))
        elif token in _OPERATORS:
            parts.append(_OPERATORS[token])
        elif token[0] == ".":
            parts.append(f"[{token[1:]!r}]")
        elif token in functions or not re.match(r"[A-Za-z_]", token):
            parts.append(token)
        else:
            parts.append(repr(contexts.get(token)))
    assert "".join(_TOKEN.findall(expression)) == expression, expression
    return eval("".join(parts).strip(), {"fromJSON": None, **functions})


@dataclass
class WorkflowRun:
    """A run of a workflow: `results` are those of its jobs, `matrices` the number of jobs of each that has a matrix."""

    workflow: Mapping[str, Any]
    contexts: dict[str, str]
    results: dict[str, str] = field(default_factory=dict)
    matrices: dict[str, int] = field(default_factory=dict)

    def run(self, outputs: Mapping[str, str], failing: Collection[str] = ()) -> dict[str, str]:
        """Return the result of each job; `outputs` are those of the job that plans, and some jobs are `failing`."""
        for name, job in self.workflow["jobs"].items():
            before = self._all_before(name)
            functions: dict[str, Callable[..., Any]] = {
                "success": lambda before=before: all(self.results[each] == "success" for each in before),
                "failure": lambda before=before: any(self.results[each] == "failure" for each in before),
                "always": lambda: True,
                "cancelled": lambda: False,
                "fromJSON": lambda text: _Value(json.loads(text)),
            }
            condition = job["if"].removeprefix("${{").removesuffix("}}").strip()
            if not any(each in condition for each in _STATUS):
                condition = f"success() && ({condition})"
            if not evaluated(condition, self.contexts, functions):
                self.results[name] = "skipped"
                continue
            self.results[name] = "failure" if name in failing else "success"
            if "strategy" in job:
                matrix = job["strategy"]["matrix"]["include"].removeprefix("${{").removesuffix("}}").strip()
                jobs = evaluated(matrix, self.contexts, functions).value
                # A workflow with an empty matrix, or one of more jobs, is an error.
                assert isinstance(jobs, list) and 0 < len(jobs) <= 256
                self.matrices[name] = len(jobs)
            if name == "plan" and self.results[name] == "success":
                self.contexts |= {f"needs.plan.outputs.{key}": value for key, value in outputs.items()}
        return self.results

    def _all_before(self, name: str) -> set[str]:
        needs = self.workflow["jobs"][name].get("needs", [])
        return {*needs}.union(*(self._all_before(each) for each in needs))
