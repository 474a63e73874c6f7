"""The settings of CI (`ci:` of a pipeline file): how tasks are divided into jobs, and what engines need to know.

Only a pipeline that has the section imports this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from bundlepipe.pipeline.declared.fields.kinds import Limits, Plain, Size, Text
from bundlepipe.pipeline.declared.position import Position

# GitHub starts no more jobs of one matrix.
MOST_SHARDS = 256
MOST_WAVES = 20

Shards = Annotated[int, Limits(1, MOST_SHARDS)]
Waves = Annotated[int, Limits(1, MOST_WAVES)]
Count = Annotated[int, Limits(0)]
Right = Literal["read", "write"]
ArtifactStore = Literal["s3", "gcs", "oss"]


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """GitHub Actions.

    `runs_on` are the labels of the runners, `python` is the version that `actions/setup-python` installs, empty for the
    runner's own. Pushes to `branch` make bundles. `permissions` are those that jobs with access to registries need
    besides reading the repository, such as `packages: write`. `variables` may hold expressions of GitHub.
    """

    runs_on: Sequence[Text] = ("ubuntu-latest",)
    python: Plain = "3.13"
    branch: Text = "main"
    permissions: Mapping[Text, Right] = field(default_factory=dict)
    variables: Mapping[Text, Plain] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GitLab:
    """GitLab CI.

    `image` is that of the jobs, empty for the runner's own; `tags` are those of the runners. `variables` may name
    other variables of GitLab.
    """

    image: Plain = "python:3.13"
    tags: Sequence[Text] = ()
    variables: Mapping[Text, Plain] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Buildkite:
    """Buildkite.

    `queue` is that of the agents, None for the default one. `variables` may name other variables, which the
    upload of the pipeline replaces.
    """

    queue: Text | None = None
    variables: Mapping[Text, Plain] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Argo:
    """Argo Workflows.

    `image` is that of the steps, and has git in it. The checkout is `revision` of `repository`, unless the workflow is
    submitted with others; `git_secret` is a Secret with the keys `username` and `password` for it. `secret` is
    the Secret whose keys become the variables of `secrets`. A step requests `cpu` and `memory`. `artifacts` is the
    kind of the cluster's artifact repository. `variables` may hold expressions of Argo.
    """

    image: Text = "python:3.13"
    repository: Text | None = None
    revision: Text = "main"
    git_secret: Text | None = None
    secret: Text = "bundlepipe"
    service_account: Text | None = None
    cpu: Text = "1"
    memory: Text = "512Mi"
    artifacts: ArtifactStore = "s3"
    variables: Mapping[Text, Plain] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CI:
    """How the tasks of a pipeline run as a graph of jobs on a CI engine.

    `tasks` are those of the graph, by default those that doit runs. A wave has at most `shards` jobs that run at
    once, and a graph at most `waves`; `startup` is how long a job takes to begin its first task, in seconds.
    A job ends after `timeout` minutes. Its checkout has `depth` commits, 0 for the whole history.
    `install` is the command that installs bundlepipe, `login` one that runs after it with the secrets. `variables` are
    set for all jobs, and `secrets` are the names of variables that the engine keeps. With `git_tags`, pushes of git's
    tags make bundles, too. Tasks that match a pattern in `environments` run in jobs of that protected environment.
    Tasks that match one in `repeat` may run in every job that needs what they make, and make the same each time; users'
    own tasks run in one job otherwise, with all that needs what they make.
    """

    tasks: Sequence[Text] = ()
    shards: Shards = 8
    waves: Waves = 5
    startup: Count = 30
    timeout: Size = 60
    depth: Count = 1
    install: Text = "python -m pip install bundlepipe"
    login: Text | None = None
    variables: Mapping[Text, Plain] = field(default_factory=dict)
    secrets: Sequence[Text] = ()
    git_tags: bool = False
    environments: Mapping[Text, Text] = field(default_factory=dict)
    repeat: Sequence[Text] = ()
    github: GitHub = GitHub()
    gitlab: GitLab = GitLab()
    buildkite: Buildkite = Buildkite()
    argo: Argo = Argo()
    where: Position | None = field(default=None, compare=False)
