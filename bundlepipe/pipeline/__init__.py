"""The door of doit: declarations become tasks, and tasks call verbs.

Floor 5. `declaration` says what there is, `reading` takes it from bundlepipe.yml, `graph`
makes tasks of it; `staleness` decides whether a task has to run and an `action` runs it.
`reporter`, `backend` and `loader` are plugins of doit.
"""
