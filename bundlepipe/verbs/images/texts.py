"""Read configuration: texts to search for images, and kbld's rules among them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct, field

from bundlepipe.documents.kbld.config import KbldConfig
from bundlepipe.documents.kbld.reading import parse_config
from bundlepipe.documents.search.files import (
    ComposedFile,
    FoundImage,
    SearchedFile,
    compose_file,
    search_composed,
    search_images,
)
from bundlepipe.documents.search.kinds import may_configure
from bundlepipe.documents.search.paths import searched_files
from bundlepipe.documents.yaml.reader import decoded
from bundlepipe.errors import DocumentError, InputError
from bundlepipe.filesystem.files import read_file

STANDARD_INPUT = "stdin"
URL_PREFIXES = ("http://", "https://")


class Text(Struct, frozen=True):
    """Configuration and its name in messages: the path of a file, a URL, the program that printed it."""

    name: str
    content: bytes

    @property
    def kbld_name(self) -> str:
        """kbld's name for it in messages, if it is one of kbld's inputs."""
        if self.name == STANDARD_INPUT:
            return self.name
        return f"HTTP URL '{self.name}'" if self.name.startswith(URL_PREFIXES) else f"file '{self.name}'"


class Configuration(Struct, frozen=True):
    """The searched texts, and the rules that replace references in them."""

    files: tuple[SearchedFile, ...]
    rules: KbldConfig
    problems: tuple[str, ...] = field(default=())

    @property
    def images(self) -> Iterator[FoundImage]:
        """The images found, in the order of the files."""
        return (found for file in self.files for found in file.images)


def read_texts(paths: Sequence[str], exclude: Collection[str] = ()) -> list[Text]:
    """Return the content of files, and of the YAML and JSON files in directories; InputError if one cannot be read."""
    return [read_text(path) for path in searched_files(paths, exclude)]


def read_text(path: str) -> Text:
    """Return the content of a file; InputError if it cannot be read."""
    try:
        return Text(path, read_file(path))
    except InputError as error:
        raise InputError(str(error), drop_in=f"Parsing file '{path}': {error.drop_in}") from None


def read_rules(paths: Iterable[str]) -> KbldConfig:
    """Return kbld's configuration in some files, in order.

    Raises InputError for a file that cannot be read, DocumentError with all faults of all files.
    """
    found: list[KbldConfig] = []
    problems: list[str] = []
    for text in map(read_text, paths):
        try:
            found.append(parse_config(text.content, text.name))
        except DocumentError as error:
            problems.extend(error.problems)
    if problems:
        raise DocumentError(problems)
    return sum(found, KbldConfig())


def search(texts: Sequence[Text], rules: KbldConfig) -> Configuration:
    """Return the references that `rules` and the rules in the texts find, in kbld's order.

    Faults are added to `problems`.
    """
    problems: list[str] = []
    configurations = [rules]
    readable: list[Text] = []
    for text in texts:
        if may_configure(text.content):
            try:
                configurations.append(parse_config(text.content, text.name, sole=False))
            except DocumentError as error:
                problems.extend(error.problems)
                continue
        readable.append(text)
    all_rules = sum(configurations, KbldConfig())
    files = []
    for text in readable:
        try:
            files.append(search_images(text.content, text.name, all_rules.search_rules))
        except DocumentError as error:
            problems.extend(error.problems)
    return Configuration(tuple(files), all_rules, tuple(dict.fromkeys(problems)))


def read_as_kbld(texts: Sequence[Text]) -> tuple[list[ComposedFile], KbldConfig]:
    """Return the documents of some texts, and the configuration among them, as kbld reads them.

    Raises DocumentError with the first fault, in kbld's order: unreadable files, then kbld's
    configuration. Only errors of kbld are faults.
    """
    composed = [_composed_as_kbld(text) for text in texts]
    configurations = (parse_config(file.content, file.path, sole=False, as_kbld=True) for file in composed)
    return composed, sum(configurations, KbldConfig())


def search_as_kbld(texts: Sequence[Text]) -> Configuration:
    """Return the images that kbld finds in texts, which also hold the rules; DocumentError as of `read_as_kbld`."""
    composed, rules = read_as_kbld(texts)
    files = tuple(search_composed(file, rules.search_rules, as_kbld=True) for file in composed)
    return Configuration(files, rules)


def _composed_as_kbld(text: Text) -> ComposedFile:
    from bundlepipe.documents.yaml.go_yaml import is_suspect, parsing_problem

    fault: DocumentError | None = None
    try:
        composed = compose_file(text.content, text.name)
        if not is_suspect(composed.text.content, [document.root for document in composed.documents]):
            return composed
    except DocumentError as error:
        fault = error
    problem = parsing_problem(decoded(text.content, text.name), text.kbld_name)
    if problem:
        raise DocumentError(fault.problems if fault else [f"{text.name}: {problem}"], drop_in=problem)
    if fault:
        raise fault
    return composed
