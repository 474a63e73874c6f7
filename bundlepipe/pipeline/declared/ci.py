"""The settings of CI (`ci:` of a pipeline file): how tasks are divided into jobs, and what engines need to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from bundlepipe.pipeline.declared.fields.kinds import Limits, Plain, Size, Text

MOST_SHARDS = 256
MOST_WAVES = 20


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """GitHub Actions: the label of the runners, and the Python that `actions/setup-python` installs, if any."""

    runs_on: Text = "ubuntu-latest"
    python: Text | None = "3.13"


@dataclass(frozen=True, kw_only=True)
class GitLab:
    """GitLab CI: the image of the jobs, and the tags of the runners; without an image the runners' own is used."""

    image: Text | None = "python:3.13"
    tags: Sequence[Text] = ()


@dataclass(frozen=True, kw_only=True)
class Buildkite:
    """Buildkite: the queue of the agents, None for the default one."""

    queue: Text | None = None


@dataclass(frozen=True, kw_only=True)
class Argo:
    """Argo Workflows: the image of the steps, where the checkout comes from, and what a step requests.

    `secret` is the Secret whose keys become the variables in `secrets`; `git_secret` has the keys `username` and
    `password` of a private repository.
    """

    image: Text = "python:3.13"
    repository: Text | None = None
    secret: Text = "bundlepipe"
    git_secret: Text | None = None
    service_account: Text | None = None
    cpu: Text = "1"
    memory: Text = "512Mi"


@dataclass(frozen=True, kw_only=True)
class CI:
    """How the tasks of a pipeline run as a graph of jobs on a CI engine.

    `tasks` are those of the graph, by default those that doit runs. A wave has at most `shards` jobs that run at
    once, and a graph at most `waves`; `startup` is how long a job takes to begin its first task, in seconds.
    `install` is the command that installs bundlepipe, `variables` are set for all jobs, and `secrets` are the names of
    variables that the engine keeps. Tasks that match a pattern in `environments` run in jobs of that protected
    environment. Tasks that match one in `repeat` may run in every job that needs what they make; users' own tasks
    run in one job otherwise. `timeout` is in minutes.
    """

    tasks: Sequence[Text] = ()
    shards: Annotated[int, Limits(1, MOST_SHARDS)] = 8
    waves: Annotated[int, Limits(1, MOST_WAVES)] = 5
    startup: Annotated[int, Limits(0)] = 30
    timeout: Size = 60
    install: Text = "python -m pip install bundlepipe"
    variables: Mapping[Text, Plain] = field(default_factory=dict)
    secrets: Sequence[Text] = ()
    environments: Mapping[Text, Text] = field(default_factory=dict)
    repeat: Sequence[Text] = ()
    github: GitHub = GitHub()
    gitlab: GitLab = GitLab()
    buildkite: Buildkite = Buildkite()
    argo: Argo = Argo()
