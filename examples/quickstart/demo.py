"""The quickstart, told step by step: lock, push and pull a bundle, offline, in a temporary directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run the quickstart in a copy of this directory."""
    with tempfile.TemporaryDirectory(prefix="bundlepipe-quickstart-") as temporary:
        directory = Path(temporary) / "quickstart"
        shutil.copytree(
            HERE, directory, ignore=shutil.ignore_patterns("build", ".bundlepipe", "__pycache__", ".imgpkg")
        )
        Demo(directory).run()


class Demo:
    """The steps, each a heading, a command as a user types it, and what it prints."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.steps = 0

    def run(self) -> None:
        """Tell the story from the declaration to the second release."""
        self.say(
            "What there is: an image made of files, a bundle, and a bundle that locks both",
            "The default destination is layout.localhost: a registry that is a directory, so this needs no network.",
        )
        self.show("bundlepipe.yml")

        self.say("Lock, push and pull", "doit runs what the bundles need, in order.")
        self.doit("push_bundle", "pull_bundle")
        self.say("The lock: every image by its digest, whatever a tag may come to mean")
        self.show("deploy/app/.imgpkg/images.yml")
        self.say("What a consumer gets: the configuration, its lock, and the nested bundle")
        self.tree("build/app")

        self.say("Again: nothing has changed, so nothing is done")
        self.doit("push_bundle", "pull_bundle")

        self.say(
            "As on a fresh CI runner, without any local state",
            "One question to each destination shows that all is there; nothing is uploaded.",
        )
        shutil.rmtree(self.directory / ".bundlepipe")
        shutil.rmtree(self.directory / "build/app")
        self.doit("push_bundle")

        self.say("One file of the nested bundle changes", "Only what depends on it is done again.")
        namespace = self.directory / "deploy/common/namespace.yml"
        namespace.write_text(namespace.read_text() + "  labels: {edited: 'yes'}\n")
        print("  $ echo \"  labels: {edited: 'yes'}\" >> deploy/common/namespace.yml")
        self.doit("push_bundle", "pull_bundle")
        print()
        print("That is all. The files of this quickstart are in examples/quickstart; docs/tutorial.md explains them.")

    def say(self, heading: str, explanation: str = "") -> None:
        """Print a heading, and under it an explanation."""
        self.steps += 1
        print(f"\n{self.steps}. {heading}")
        if explanation:
            print(f"   {explanation}")
        print(flush=True)

    def show(self, path: str) -> None:
        """Print a file."""
        print(f"  $ cat {path}")
        for line in (self.directory / path).read_text().splitlines():
            print(f"  {line}")

    def tree(self, path: str) -> None:
        """Print the files below a directory."""
        print(f"  $ find {path} -type f")
        for file in sorted((self.directory / path).rglob("*")):
            if file.is_file():
                print(f"  {file.relative_to(self.directory)}")

    def doit(self, *arguments: str) -> None:
        """Run doit and print what it says, one line a task."""
        print(f"  $ doit {' '.join(arguments)}", flush=True)
        environment = {key: value for key, value in os.environ.items() if key not in ("REGISTRY", "VERSION")}
        finished = subprocess.run(
            [sys.executable, "-m", "doit", *arguments],
            check=False,
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in finished.stdout.splitlines():
            print(f"  {line}")
        if finished.returncode != 0:
            sys.exit(f"doit ended with exit status {finished.returncode}")


if __name__ == "__main__":
    main()
