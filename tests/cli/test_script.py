"""A script of somebody who has imgpkg: it runs as it is, with a link in the place of the program."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from bundlepipe.stores.opening import Stores
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.images import file_layer, put_image
from tests.support.registries import PasswordRegistry
from tests.support.services import Registry

SCRIPT = r"""#!/bin/bash
# release.sh: builds a bundle, carries it to the other side, and lays it out there.
set -euo pipefail

imgpkg version | head -n 1 | grep -q '^imgpkg version [0-9]'

imgpkg push -b "$SOURCE:$VERSION" -f config --file-exclusion .git --lock-output bundle.lock.yml
imgpkg copy --lock bundle.lock.yml --to-tar bundle.tar --concurrency=3
imgpkg copy --tar=bundle.tar --to-repo "$DESTINATION" --lock-output relocated.lock.yml --registry-verify-certs=false
imgpkg pull --lock relocated.lock.yml --output deployed --tty >pull.log
grep -q 'is hosting every image specified' pull.log

latest=$(imgpkg tag list -i "$DESTINATION" --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)["Tables"][0]["Rows"]
print(sorted(row["name"] for row in rows)[-1])')
digest=$(imgpkg tag resolve -i "$DESTINATION:$latest")
imgpkg tag list -i "$DESTINATION" --digests | awk -F '\t' -v tag="$latest" '$1 == tag { print $2 }' >listed
test "${digest#*@}" = "$(cat listed)"

if imgpkg pull -i "$DESTINATION:$latest" -o wrong 2>error.log; then
  echo 'a bundle was pulled as an image' >&2
  exit 2
elif [ $? -ne 1 ]; then
  exit 3
fi
grep -qF 'imgpkg: Error: ' error.log
grep -qF 'Expected bundle flag when pulling a bundle (hint: Use -b instead of -i for bundles)' error.log

if ! output=$(imgpkg pull -b "$DESTINATION:none" -o wrong 2>&1); then
  case $output in
    *MANIFEST_UNKNOWN*) echo "no such version" ;;
    *) exit 4 ;;
  esac
fi
imgpkg describe -b "$digest" -o yaml | grep -q '^sha: '
echo "released $latest"
"""


def run_script(command: Command, text: str, **variables: object) -> subprocess.CompletedProcess[str]:
    script = command.directory / "release.sh"
    script.write_text(text)
    script.chmod(0o755)
    environment = command.environment({name: str(value) for name, value in variables.items()})
    return subprocess.run([script], cwd=command.directory, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def config(command: Command, registry: Registry) -> Path:
    image = registry.repository("site")
    manifest = put_image(Stores().repository(image, writes=True), file_layer("index.html", "hello"))
    return write_bundle(command.directory / "config", {"app.yml": "kind: App\n"}, [image.at(manifest.digest)])


def test_release_script(command: Command, registry: Registry, config: Path) -> None:
    source, destination = registry.repository("source"), registry.repository("destination")
    for _ in range(2):
        done = run_script(command, SCRIPT, SOURCE=source, DESTINATION=destination, VERSION="1.2.0")
        assert (done.stderr, done.stdout, done.returncode) == ("", "no such version\nreleased 1.2.0\n", 0)
    lock = (command.directory / "deployed/.imgpkg/images.yml").read_text()
    assert f"image: {destination}@sha256:" in lock
    assert not (command.directory / "wrong").exists()


def test_script_that_logs_in_by_variables(
    command: Command, authenticated_registry: PasswordRegistry, registry: Registry
) -> None:
    write_bundle(command.directory / "config", {"app.yml": "kind: App\n"})
    account = authenticated_registry.account
    destination = authenticated_registry.repository()
    text = 'imgpkg push -b "$TO:1" -f config\nimgpkg tag list -i "$TO" --json\n'
    done = run_script(
        command,
        f"#!/bin/sh\nset -e\n{text}",
        TO=destination,
        IMGPKG_REGISTRY_HOSTNAME_0=authenticated_registry.host,
        IMGPKG_REGISTRY_USERNAME_0=account.username,
        IMGPKG_REGISTRY_PASSWORD_0=account.password,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout)["Tables"][0]["Rows"] == [{"name": "1"}]
    done = run_script(
        command, f"#!/bin/sh\n{text}", TO=destination, IMGPKG_USERNAME=account.username, IMGPKG_PASSWORD="not this"
    )
    assert done.returncode == 1
    assert "incorrect username or password" in done.stderr
    assert account.password not in done.stderr + done.stdout
    assert os.fspath(command.directory) not in done.stderr
