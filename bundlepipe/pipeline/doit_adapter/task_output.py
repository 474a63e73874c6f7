"""Separate the output of Python actions that run in threads: whole lines, for the right task.

doit's PythonAction replaces `sys.stdout` and `sys.stderr` while it runs and restores them afterwards:
two threads at once lose and mix up their output. Here each thread has its own streams behind one that
stays, with any reporter. doit's rules for `verbosity` and capturing apply.
"""

from __future__ import annotations

import codecs
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO, cast

from doit.action import PythonAction
from doit.exceptions import BaseFail

from bundlepipe.progress.display import display

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES = ("stdout", "stderr")
_MARK = "_bundlepipe_output"


class _Bytes(io.BufferedIOBase):
    """The `buffer` of a text stream: accepts bytes, and passes on the decoded text."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes; several calls of a thread may split a character. Invalid bytes are escaped."""
        content = bytes(memoryview(data))
        thread = threading.get_ident()
        if thread not in self._decoders:
            self._decoders[thread] = codecs.getincrementaldecoder(self._stream.encoding)("backslashreplace")
        self._stream.write(self._decoders[thread].decode(content))
        return len(content)

    def flush(self) -> None:
        """Flush the text stream."""
        self._stream.flush()

    def close(self) -> None:
        """Pass on incomplete characters; the text stream stays open."""
        while self._decoders:
            _, decoder = self._decoders.popitem()
            self._stream.write(decoder.decode(b"", final=True))
        super().close()

    def isatty(self) -> bool:
        """Return whether the text stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the text stream; io.UnsupportedOperation if it has none."""
        return self._stream.fileno()


class _TextStream(io.TextIOBase):
    """The methods expected of text streams besides `write`."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self) -> None:
        self._bytes: _Bytes | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def buffer(self) -> _Bytes:
        """The stream for bytes."""
        if self._bytes is None or self._bytes.closed:
            self._bytes = _Bytes(self)
        return self._bytes

    def close(self) -> None:
        """Pass on bytes written so far, and accept no more."""
        if self._bytes:
            self._bytes.close()
        super().close()

    def reconfigure(self, **settings: Any) -> None:
        """Accept settings as io.TextIOWrapper does. Lines are written immediately anyway."""
        if settings.get("encoding"):
            self._bytes = None


class TaskStream(_TextStream):
    """`sys.stdout` or `sys.stderr` of one action and the threads that it starts.

    Whole lines are written to `shown` immediately, if there is one, and to `text`. An incomplete
    line waits for its end in the thread that wrote it, or for `close`.
    """

    def __init__(self, shown: TextIO | None, *, captures: bool) -> None:
        super().__init__()
        self.shown = shown
        self._take_settings()
        self._captured = io.StringIO() if captures else None
        self._rests: dict[int, str] = {}

    @property
    def text(self) -> str | None:
        """The text written so far; None if it is not kept."""
        return self._captured.getvalue() if self._captured else None

    def write(self, text: str, /) -> int:
        """Write a text, of any number of lines."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        thread = threading.get_ident()
        lines, newline, rest = (self._rests.pop(thread, "") + text).rpartition("\n")
        if rest:
            self._rests[thread] = rest
        self._put(lines + newline)
        return len(text)

    def flush(self) -> None:
        """Also write an incomplete line, if no other thread could write into it: for progress indicators."""
        if _streams.has_one_user and (rest := self._rests.pop(threading.get_ident(), "")):
            self._put(rest)

    def close(self) -> None:
        """Write incomplete lines as whole ones."""
        super().close()
        for thread in list(self._rests):
            rest = self._rests.pop(thread)
            if self._captured:
                self._captured.write(rest)
            if self.shown:
                display.write(f"{rest}\n", self.shown)

    def reconfigure(self, **settings: Any) -> None:
        """Pass settings to the stream that is shown, also for other tasks, as without threads."""
        if isinstance(self.shown, io.TextIOWrapper):
            self.shown.reconfigure(**settings)
            self._take_settings()
        super().reconfigure(**settings)

    def _take_settings(self) -> None:
        self.encoding = getattr(self.shown, "encoding", None) or "utf-8"
        self.errors = getattr(self.shown, "errors", None) or "strict"

    def isatty(self) -> bool:
        """Return whether the output is shown on a terminal."""
        return self.shown is not None and self.shown.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream that is shown; io.UnsupportedOperation if there is none."""
        if self.shown is None:
            raise io.UnsupportedOperation("fileno")
        return self.shown.fileno()

    def _put(self, text: str) -> None:
        if text and self._captured:
            self._captured.write(text)
        if text and self.shown:
            display.write(text, self.shown)


class _Nothing(_TextStream):
    """A standard stream that was closed before this process started."""

    def write(self, text: str, /) -> int:
        return len(text)


class StreamByThread:
    """`sys.stdout` or `sys.stderr` while actions run in threads: each thread's own stream, else the `base`."""

    def __init__(self, name: str, base: TextIO | None) -> None:
        self._name = name
        self.base = base

    def write(self, text: str) -> int:
        """Write to this thread's stream."""
        return cast(int, self._target.write(text))

    def flush(self) -> None:
        """Flush this thread's stream."""
        self._target.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    @property
    def _target(self) -> Any:
        stream = (_current() or {}).get(self._name)
        # A thread pool may outlive the action that started it.
        if stream is not None and not stream.closed:
            return stream
        return _Nothing() if self.base is None else self.base


_Streams = dict[str, TaskStream]
_Bases = dict[str, TextIO | None]
# For work that is passed on with its context, as in asyncio; threads that are started have a mark.
_of_context: ContextVar[_Streams | None] = ContextVar(_MARK, default=None)


def _current() -> _Streams | None:
    return _of_context.get() or vars(threading.current_thread()).get(_MARK)


class _StandardStreams:
    """Replaces the standard streams with streams by thread while an action runs in a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._bases: _Bases = {}

    @property
    def has_one_user(self) -> bool:
        return self._users == 1

    @contextmanager
    def in_use(self) -> Iterator[_Bases]:
        """Yield the streams from before the first use. They are restored after the last, whatever users set meanwhile.

        Overlapping redirections of several threads are undone in any order, and so leave each other's streams.
        """
        with self._lock:
            if not self._users:
                self._bases = {name: _base_of(getattr(sys, name)) for name in _NAMES}
            self._users += 1
            for name, base in self._bases.items():
                if not isinstance(getattr(sys, name), StreamByThread):
                    setattr(sys, name, StreamByThread(name, base))
            bases = self._bases
        try:
            yield bases
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    for name, base in bases.items():
                        setattr(sys, name, base)


def _base_of(stream: Any) -> TextIO | None:
    return stream.base if isinstance(stream, StreamByThread) else stream


_streams = _StandardStreams()


@contextmanager
def _streams_of_this_thread(streams: _Streams) -> Iterator[None]:
    thread = threading.current_thread()
    before = vars(thread).get(_MARK)
    token = _of_context.set(streams)
    setattr(thread, _MARK, streams)
    try:
        yield
    finally:
        for stream in streams.values():
            stream.close()
        setattr(thread, _MARK, before)
        _of_context.reset(token)


class _WithoutStreams:
    """A PythonAction as doit's own code sees it, which must not replace the standard streams."""

    # doit's options for capturing, of a task.
    task = SimpleNamespace(io=SimpleNamespace(capture=False))

    def __init__(self, action: PythonAction) -> None:
        object.__setattr__(self, "_action", action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._action, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._action, name, value)


_execute_by_doit = PythonAction.execute


@wraps(_execute_by_doit)
def _execute(action: PythonAction, out: TextIO | None = None, err: TextIO | None = None) -> BaseFail | None:
    if threading.current_thread() is threading.main_thread():
        return cast("BaseFail | None", _execute_by_doit(action, out, err))
    captures = bool(action.task.io.capture) if action.task else True
    with _streams.in_use() as bases:
        shown = {name: _shown(action, given, bases[name]) for name, given in zip(_NAMES, (out, err), strict=True)}
        streams = {name: TaskStream(shown[name], captures=captures) for name in _NAMES if captures or shown[name]}
        try:
            with _streams_of_this_thread(streams):
                return cast("BaseFail | None", _execute_by_doit(_WithoutStreams(action)))
        finally:
            if captures:
                action.out, action.err = streams["stdout"].text, streams["stderr"].text


def _shown(action: PythonAction, given: TextIO | None, base: TextIO | None) -> TextIO | None:
    """Return where an action's output is shown; `given` is the standard stream that doit found."""
    if given is None:
        return None
    # For a task, another action may redirect it. An action without a task is a user's own.
    return base if action.task or isinstance(given, StreamByThread) else given


_start_thread = threading.Thread.start


@wraps(_start_thread)
def _start(thread: threading.Thread) -> None:
    if streams := _current():
        setattr(thread, _MARK, streams)
    _start_thread(thread)


def separate_output() -> None:
    """From now on, give each Python action that runs in a thread its own standard streams.

    Threads that an action starts print as the action does. In the main thread, and so in runs
    without threads, everything is as in doit.
    """
    PythonAction.execute = _execute
    threading.Thread.start = _start  # type: ignore[assignment, method-assign]
