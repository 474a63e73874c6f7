"""`doit dumpdb` for any database: doit's own opens only DBM files, and ignores the database chosen in a dodo.py.

doit loads it whenever it is called, also in projects without bundlepipe; those get doit's own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pprint import pformat
from typing import Any

from doit.cmd_base import DoitCmdBase
from doit.cmd_dumpdb import DumpDB
from doit.exceptions import InvalidCommand, InvalidDodoFile

from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.plugins.backend import AppendOnlyDB


class DumpCommand(DoitCmdBase):  # type: ignore[misc]
    """Prints every record of the database that the dodo.py has chosen."""

    name = DumpDB.get_name()
    doc_purpose = DumpDB.doc_purpose
    doc_usage = DumpDB.doc_usage
    doc_description = DumpDB.doc_description
    cmd_options = ()

    def execute(self, params: Any, args: Sequence[str]) -> Any:
        """Print the records; InvalidCommand if there is no database yet."""
        end_quietly()
        try:
            self.loader.setup(params)
            params.update_defaults(self.loader.load_doit_config())
        except InvalidDodoFile:
            # doit's own needs no dodo.py: the database is always where the settings say.
            pass
        path, kind = params["dep_file"], self._backends.get(params["backend"])
        if not (isinstance(kind, type) and issubclass(kind, AppendOnlyDB)):
            return DumpDB(config=self.config, bin_name=self.bin_name).execute(params, args)
        if not os.path.exists(path):
            raise InvalidCommand(f"{path}: no such file: no task has run here yet")
        for task_name, record in kind(path, self.get_codec_cls(params["codec_cls"])()).records():
            print(f"{task_name} -> {pformat(record, indent=4, width=100)}")
        return 0
