"""Variables of doit's command line, `doit TASK refresh=NAME`: what one run is asked to do."""

from __future__ import annotations

import os
from typing import Any

from doit import get_var
from doit.exceptions import InvalidDodoFile

from bundlepipe.pipeline.declaration import Copy, Pull, Verify, images_lock_path
from bundlepipe.pipeline.reading import Declared
from bundlepipe.pipeline.settings import REFRESH_ALL
from bundlepipe.pipeline.sources import is_remote

_VERIFY_VARIABLE = "BUNDLEPIPE_VERIFY"
_VERIFY_REGISTRY = "registry"


def wanted_refresh(declared: Declared) -> frozenset[str]:
    """Return what `doit refresh=` names; a name that nothing has would otherwise be passed over in silence."""
    wanted = frozenset(name for name in _variable("refresh").split(",") if name)
    sourced: list[Copy | Pull] = [*declared.copies, *declared.pulls]
    known = {REFRESH_ALL, *(bundle.name for bundle in declared.bundles), *(thing.name for thing in sourced)}
    known |= {thing.source for thing in sourced if is_remote(thing.source)}
    for image in declared.images:
        if image.source and is_remote(image.source):
            known |= {image.name, image.source}
        elif image.build or image.program:
            known.add(image.name)
    known |= {render.name for render in declared.renders if render.apply}
    for name in sorted(wanted - known):
        if not any(_mentions(images_lock_path(bundle), name) for bundle in declared.bundles if bundle.lock):
            raise InvalidDodoFile(
                f"refresh={name}: nothing has that name: expected {REFRESH_ALL}, a bundle, copy or pull, "
                "an image that is not of files, a render that is applied, or a reference as a lock has it"
            )
    return wanted


def _mentions(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return text in file.read()
    except OSError:
        return False


def _variable(name: str) -> str:
    """Return a variable of doit's command line; read while loading, as spawned workers have none."""
    value: Any = get_var(name)
    return str(value) if value else ""


def wanted_verify(declared: Verify | None) -> bool:
    """Tell whether destinations are to be asked: by the variable, the environment or the declaration."""
    wanted = _variable("verify") or os.environ.get(_VERIFY_VARIABLE) or declared
    if wanted not in (None, _VERIFY_REGISTRY):
        raise InvalidDodoFile(f"verify={wanted}: expected verify={_VERIFY_REGISTRY}, which asks every destination")
    return wanted == _VERIFY_REGISTRY
