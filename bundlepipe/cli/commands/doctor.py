"""The command `doctor`: find out why a registry does not respond or denies access."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

import click

from bundlepipe.cli.parsing.command import Command, Run
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.stores.diagnosis.finding import Finding, State
from bundlepipe.stores.diagnosis.rights import Subject
from bundlepipe.stores.settings import DEFAULT_LAYOUT_DIRECTORY, LAYOUT_HOST, RegistrySettings

_PIPELINE = "bundlepipe.yml"
_MARKS = {"ok": "ok", "none": "--", "failed": "FAILED", "untried": "--"}
_MARK_WIDTH = max(map(len, _MARKS.values()))


@click.command(
    cls=Command,
    examples={
        "Check this machine, and the registries of bundlepipe.yml": "doctor",
        "Find out why a registry does not respond": "doctor registry.example",
        "Find out whether a repository can be read and written": "doctor registry.example/apps/shop",
        "The same in machine-readable form": "doctor registry.example/apps/shop --json",
    },
)
@click.argument("host", required=False, metavar="[HOST]")
@registry_options
@click.pass_obj
def doctor(run: Run, host: str | None, access: Access) -> None:
    """Find out why a registry does not respond or denies access.

    HOST is a registry, HOST/REPOSITORY or a reference. It prints one line each about the name, the
    connection, TLS, the registry, credentials, the login and the rights to read and write; never a
    secret. Without HOST it checks this machine and every registry that bundlepipe.yml uses. The
    exit status is 1 if anything failed.
    """
    from bundlepipe.stores.diagnosis.registry import diagnose
    from bundlepipe.verbs.doctor import local_findings, parse_subject

    asked = parse_subject(host) if host else None
    pipeline = _Pipeline()
    here = pipeline.findings(is_asked_for=asked is None)
    findings: list[Finding] = []
    findings += _told(run, "", here if asked else chain(local_findings(), here))
    for subject in [asked] if asked else pipeline.subjects():
        settings = pipeline.registries.get(subject.host, RegistrySettings())
        diagnosis = diagnose(subject, settings, access.network, access.keychain(run.tool), run.trace)
        findings += _told(run, str(subject), diagnosis)
    run.console.document([finding.as_json() for finding in findings])
    failed = [finding for finding in findings if finding.state == "failed"]
    if failed:
        what = "1 check" if len(failed) == 1 else f"{len(failed)} checks"
        places = "; ".join(f"{finding.subject}: {finding.check}" for finding in failed)
        raise BundlepipeError(f"{what} of {len(findings)} failed: {places}")


class _Pipeline:
    """Findings of this directory's pipeline, if there is one."""

    def __init__(self) -> None:
        from bundlepipe.pipeline.declared.reading import read_pipeline

        self.registries = {LAYOUT_HOST: RegistrySettings(layout=DEFAULT_LAYOUT_DIRECTORY)}
        self._declared: Declared | None = None
        self._faults = 0
        if os.path.exists(_PIPELINE):
            try:
                self._declared = read_pipeline(_PIPELINE, os.environ, remembers=False)
                self.registries.update(self._declared.registries)
            except BundlepipeError as error:
                self._faults = len(str(error).splitlines())

    def findings(self, *, is_asked_for: bool) -> Iterator[Finding]:
        """Yield findings about the file; if another registry is checked, only its faults."""
        if self._faults:
            count = "1 fault" if self._faults == 1 else f"{self._faults} faults"
            state: State = "failed" if is_asked_for else "none"
            yield Finding(
                _PIPELINE,
                _PIPELINE,
                state,
                f"has {count}, so what it says about registries does not count: 'bundlepipe check' lists them",
            )
        elif is_asked_for and self._declared is None:
            yield Finding(_PIPELINE, _PIPELINE, "none", "does not exist here; name a registry to look at it")
        elif is_asked_for:
            yield Finding(_PIPELINE, _PIPELINE, "ok", "declares the pipeline whose registries follow")

    def subjects(self) -> list[Subject]:
        """Return a repository in each registry that the pipeline uses."""
        from bundlepipe.pipeline.declared.hosts import subjects

        return subjects(self._declared) if self._declared else []


def _told(run: Run, title: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Print findings as they are made, below a title if there is one."""
    if title and not run.console.as_json:
        run.console.block(f"{title}\n")
    for finding in findings:
        if not run.console.as_json:
            run.console.block(f"{_MARKS[finding.state]:{_MARK_WIDTH}}  {finding.check}: {finding.message}\n")
        yield finding
