"""The command `schema`: print the JSON Schemas of documents."""

from __future__ import annotations

import click

from bundlepipe.cli.parsing.command import Command, Run
from bundlepipe.errors import BundlepipeError


def _matching_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from bundlepipe.documents.schemas.validator import schema_names

    return [name for name in schema_names() if name.startswith(incomplete)]


@click.command(
    cls=Command,
    examples={
        "List the schemas": "schema",
        "Write the schema of pipeline files, for an editor": "schema pipeline > pipeline.schema.json",
    },
)
@click.argument("name", required=False, shell_complete=_matching_names)
@click.pass_obj
def schema(run: Run, name: str | None) -> None:
    """Print the JSON Schema (2020-12) of a document, or without NAME the names of all."""
    from bundlepipe.documents.schemas.validator import schema_names, schema_text

    names = schema_names()
    if name is None:
        run.console.block("".join(f"{known}\n" for known in names))
    elif name in names:
        run.console.block(schema_text(name))
    else:
        raise BundlepipeError(f"'{name}': there is no such schema: expected {', '.join(names)}")
