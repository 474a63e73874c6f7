import shutil

from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")


def task_busybox():
    """take the machine's own busybox, one static program, into the image"""
    program = shutil.which("busybox") or "/bin/busybox"
    return {
        "actions": [(shutil.copy2, [program, "app/busybox"])],
        "file_dep": [program],
        "targets": ["app/busybox"],
        "clean": True,
    }
