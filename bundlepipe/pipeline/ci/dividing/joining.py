"""Sets that are joined (union-find), and the strongly connected sets of a graph (Tarjan); both near linear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence


class Joined:
    """Numbers from 0 to `count`, each at first in a set of its own. A set is known by its smallest number."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def of(self, number: int) -> int:
        """Return the set of a number."""
        parents = self._parents
        root = number
        while parents[root] != root:
            root = parents[root]
        while parents[number] != root:
            parents[number], number = root, parents[number]
        return root

    def join(self, one: int, other: int) -> None:
        """Make one set of those of two numbers."""
        one, other = self.of(one), self.of(other)
        self._parents[max(one, other)] = min(one, other)

    def join_all(self, numbers: Sequence[int]) -> None:
        """Make one set of those of all numbers."""
        for number in numbers[1:]:
            self.join(numbers[0], number)


def strongly_connected(edges: Mapping[int, Iterable[int]]) -> list[list[int]]:
    """Return the sets of more than one node that all reach each other; `edges` has every node."""
    search = _Search(edges)
    for node in edges:
        if node not in search.indexes:
            search.visit(node)
    return search.found


class _Search:
    """Tarjan's search; without recursion, since graphs may be thousands of nodes deep."""

    def __init__(self, edges: Mapping[int, Iterable[int]]) -> None:
        self._edges = edges
        self.indexes: dict[int, int] = {}
        self._lowest: dict[int, int] = {}
        self._path: list[int] = []
        self._done = set[int]()
        self.found: list[list[int]] = []

    def visit(self, start: int) -> None:
        """Find the sets of all nodes that are reached from one."""
        stack = [self._entered(start)]
        while stack:
            node, following = stack[-1]
            for other in following:
                if other not in self.indexes:
                    stack.append(self._entered(other))
                    break
                if other not in self._done:
                    self._lowest[node] = min(self._lowest[node], self.indexes[other])
            else:
                stack.pop()
                if stack:
                    before = stack[-1][0]
                    self._lowest[before] = min(self._lowest[before], self._lowest[node])
                if self._lowest[node] == self.indexes[node]:
                    self._close(node)

    def _entered(self, node: int) -> tuple[int, Iterator[int]]:
        self.indexes[node] = self._lowest[node] = len(self.indexes)
        self._path.append(node)
        return node, iter(self._edges[node])

    def _close(self, node: int) -> None:
        members = [self._path.pop()]
        while members[-1] != node:
            members.append(self._path.pop())
        self._done.update(members)
        if len(members) > 1:
            self.found.append(members)
