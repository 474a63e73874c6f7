"""Diagnose step by step why a registry does not respond or denies access."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from bundlepipe.errors import StoreError
from bundlepipe.stores.diagnosis import registry_way
from bundlepipe.stores.diagnosis import rights as registry_rights
from bundlepipe.stores.diagnosis.finding import Finding
from bundlepipe.stores.diagnosis.registry_way import RegistryWay
from bundlepipe.stores.diagnosis.rights import RegistryRights, Subject
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.http.transport import Transport
from bundlepipe.stores.keychains.credentials import Keychain
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings

_BY_ENGINE = "'resolve: engine': the Docker Engine resolves tags, and may reach the host where this machine does not"

CHECKS = (*registry_way.CHECKS, *registry_rights.CHECKS)


def diagnose(
    subject: Subject,
    settings: RegistrySettings,
    network: NetworkSettings,
    keychain: Keychain,
    trace: Callable[[str], None] | None = None,
) -> Iterator[Finding]:
    """Yield a finding for each of CHECKS as it is made; checks that depend on a failed one are untried.

    Each request is sent once. Nothing is stored in the registry. A host backed by a directory has one finding,
    `layout`. `trace` is called with the HTTP traffic. Faults of the registry, credentials or certificates are
    not raised.
    """
    if settings.layout is not None:
        yield _layout(subject, settings.layout)
        return
    if settings.resolve == "engine":
        message = (
            "'resolve: engine': the Docker Engine resolves tags, and may reach the host where this machine does not"
        )
        yield Finding(subject.host, "engine", "none", message)
    reporting = Reporting(write=trace)
    once = replace(network, tries=1)
    try:
        transport = Transport(subject.host, settings, once, reporting)
    except StoreError as error:
        yield Finding(subject.host, CHECKS[0], "failed", str(error))
        return
    way = RegistryWay(subject.host, settings, once, plain_allowed=transport.plain_allowed)
    yield from way.findings()
    try:
        yield from RegistryRights(subject, transport, keychain, reporting).findings(is_open=way.is_open)
    finally:
        transport.close()


def _layout(subject: Subject, directory: str) -> Finding:
    path = os.path.join(directory, subject.path) if subject.path else directory
    if os.path.isdir(path):
        return Finding(str(subject), "layout", "ok", f"the directory {path} stands for it")
    return Finding(str(subject), "layout", "none", f"the directory {path} stands for it, and does not exist yet")
