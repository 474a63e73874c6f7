"""Errors that bundlepipe reports to a user, as a class hierarchy.

Every message is one line that names what failed, where, why and, if it is not obvious, what to do;
a front end (task, command) prints it unchanged. An exception that is not a `BundlepipeError` is a
defect in bundlepipe.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from msgspec import Struct

# Longer than any valid reference, so that only invalid ones are cut.
_LONGEST_QUOTED = 500
_LONGEST_MESSAGE = 300
_LONGEST_COMMAND = 200


def printable(text: str) -> str:
    """Return outside text on one line: unprintable characters become escapes such as `\\n`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shortened(text: str, longest: int) -> str:
    """Return outside text on one line of at most `longest` characters."""
    cut = printable(text[: longest + 1])
    return cut if len(cut) <= longest else cut[: longest - 1] + "…"


def quoted(text: str, longest: int = _LONGEST_QUOTED) -> str:
    """Return outside text as messages show it: in quotes, one line, at most `longest` characters."""
    return f"'{shortened(text, longest)}'"


def command_text(command: Sequence[str]) -> str:
    """Return a command as messages show it: quoted as for a shell, one line, of bounded length."""
    return shortened(shlex.join(command), _LONGEST_COMMAND)


def as_go(call: str, path: str, error: OSError) -> str:
    """Return a failed system call in the format of Go's programs, such as `open x: no such file or directory`."""
    reason = error.strerror or str(error)
    return f"{call} {path}: {reason[:1].lower()}{reason[1:]}"


class BundlepipeError(Exception):
    """bundlepipe cannot do what the user asked for; the message says why.

    `drop_in` is the text of imgpkg or kbld for the same fault, which scripts may look for: the
    commands with their names print it in place of the message. None if the message is used there too.
    """

    def __init__(self, *args: object, drop_in: str | None = None) -> None:
        super().__init__(*args)
        self.drop_in = drop_in

    def __str__(self) -> str:
        text = str(self.args[0]) if self.args else self.__class__.__name__
        # A file name that is not UTF-8 holds surrogates, which cannot be printed.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


class InvalidReference(BundlepipeError):
    """A text is not an image reference."""


class InvalidDigest(BundlepipeError):
    """A text is not a digest of a supported algorithm."""


class InvalidContent(BundlepipeError):
    """A manifest, index or image configuration is not what its media type promises."""


class IntegrityError(BundlepipeError):
    """Received bytes do not match their digest or size."""


class InputError(BundlepipeError):
    """A file or directory given as input cannot be packed."""


class NotRegular(InputError):
    """The path `path`, found in the input `root`, is neither a file nor a directory but `what`."""

    def __init__(self, path: str, root: str, what: str) -> None:
        short = f"Expected file '{path}' to be a regular file"
        super().__init__(
            f"{short}: it is {what}: put a file or directory there, or take it out of the input",
            drop_in=f"Adding file '{root}' to tar: {short}",
        )
        self.path, self.root, self.what = path, root, what

    def __reduce__(self) -> tuple[type[NotRegular], tuple[str, str, str]]:
        """Keep all attributes when the error is pickled for another process."""
        return NotRegular, (self.path, self.root, self.what)


class UnsafeArchive(BundlepipeError):
    """A layer would write outside its output directory, or exceeds the declared limits."""


class OutputError(BundlepipeError):
    """An output directory or file cannot, or must not, be replaced."""


class DocumentError(BundlepipeError):
    """One or several faults in a document, each located by path, line and column."""

    def __init__(self, problems: Iterable[str], drop_in: str | None = None) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems), drop_in=drop_in)

    def __reduce__(self) -> tuple[type[DocumentError], tuple[object, ...]]:
        return (self.__class__, (self.problems,))


class Unresolved(Struct, frozen=True):
    """A reference as configuration has it, where it is, and why it could not be resolved (or built: `verb`).

    `drop_in` is the reason in kbld's words.
    """

    reference: str
    where: str
    reason: str
    verb: str = "resolve"
    drop_in: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: cannot {self.verb} '{self.reference}': {self.reason}"


class ResolutionError(DocumentError):
    """One or several image references could not be resolved to digests."""

    def __init__(self, unresolved: Iterable[Unresolved]) -> None:
        self.unresolved: tuple[Unresolved, ...] = tuple(unresolved)
        super().__init__(map(str, self.unresolved))

    def __reduce__(self) -> tuple[type[ResolutionError], tuple[object, ...]]:
        return (self.__class__, (self.unresolved,))


class ProgramError(BundlepipeError):
    """Another program failed: `command`, its exit status (None: it did not start), its last lines.

    A negative status is the number of the signal that ended it. `reason` is how it ended;
    where it is not given, the message has the last line, in which programs say why.
    """

    def __init__(self, command: str, status: int | None, tail: Iterable[str] = (), reason: str | None = None) -> None:
        self.command = command
        self.status = status
        self.tail: tuple[str, ...] = tuple(tail)
        self.reason = reason or _ending(status)
        self._given = command, status, self.tail, reason
        last = next((line for line in reversed(self.tail) if line.strip()), "") if reason is None else ""
        super().__init__(f"{command}: {self.reason}" + (f": {last.strip()}" if last else ""))

    def __reduce__(self) -> tuple[type[ProgramError], tuple[str, int | None, tuple[str, ...], str | None]]:
        return (ProgramError, self._given)


class ProgramMissing(BundlepipeError):
    """There is no such program on this machine."""

    def __init__(self, program: str) -> None:
        self.program = program
        where = "no such program" if "/" in program else "no such program on PATH"
        super().__init__(f"{program}: {where}: install it, or name another one")

    def __reduce__(self) -> tuple[type[ProgramMissing], tuple[str]]:
        return (ProgramMissing, (self.program,))


class StoreError(BundlepipeError):
    """A store (registry, layout, tar file, Engine) failed to do what it was asked."""


class NotFound(StoreError):
    """The store has no such manifest, blob or repository."""


class AccessDenied(StoreError):
    """The store refused: no credentials, wrong credentials, or not allowed."""


class Unreachable(StoreError):
    """The store did not answer."""


class LayersMissing(StoreError):
    """The source leaves out layers that the destination was expected to have, but does not."""


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by signal {-status}"
    return f"failed with exit status {status}"


def one_line(text: str) -> str:
    """Return text of a server without line breaks and control characters, cut to a presentable length."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "…"
