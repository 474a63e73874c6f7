"""The door of doit: declarations become tasks, and tasks call verbs.

`declared` says what there is, and takes it from bundlepipe.yml; `graph` makes tasks of it, of the
kinds in `tasks`; `running` has what decides whether a task has to run, and the action that runs it.
`plugins` are doit's.
"""
