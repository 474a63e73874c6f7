"""The doit front end: declarations become tasks, and tasks call verbs.

`declared` has the declarations and reads bundlepipe.yml; `graph` makes tasks from them, of the
kinds in `tasks`; `running` decides whether a task has to run, and has the action that runs it.
`plugins` are plugins of doit.
"""
