"""The commands of `ci`, which are imported on use."""

from __future__ import annotations

from bundlepipe.cli.parsing.groups import Commands

ci = Commands(
    {
        "plan": ("ci.plan:plan", "Plan a run that is divided into jobs"),
        "run": ("ci.plan:run", "Do the tasks of one job of a plan"),
        "report": ("ci.report:report", "Merge the reports of the jobs of a plan"),
        "github": ("ci.engines:github", "Write a workflow for GitHub Actions"),
        "gitlab": ("ci.engines:gitlab", "Write a pipeline for GitLab CI, or the child pipeline of a plan"),
        "buildkite": ("ci.engines:buildkite", "Write a pipeline for Buildkite, or the steps of a plan"),
        "argo": ("ci.engines:argo", "Write a workflow for Argo Workflows"),
        "check": ("ci.check:check", "Find written workflows that are out of date"),
    },
    name="ci",
    help="Run the tasks of a pipeline as a graph of jobs on a CI engine.",
)
