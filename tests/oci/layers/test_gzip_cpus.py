"""The bytes of a layer on other CPUs: emulated ones, which lack or have the instructions that libdeflate may use."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bundlepipe.oci.layers import gzip
from tests.support.services import program, require

PROGRAM = """
import hashlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from bundlepipe.oci.layers import gzip
content = json.loads(sys.argv[2])
data = b"".join(b"%d: a line of %d\\n" % (n, n * 7 % 1000) for n in range(content))
print(hashlib.sha256(b"".join(gzip.compress([data]))).hexdigest())
"""
LINES = 60_000


@pytest.mark.parametrize("cpu", ["Nehalem", "max"])
def test_another_cpu_gives_the_same_bytes(cpu: str) -> None:
    require("qemu-x86_64")
    data = b"".join(b"%d: a line of %d\n" % (n, n * 7 % 1000) for n in range(LINES))
    assert len(data) > 2 * gzip.BLOCK_SIZE
    here = hashlib.sha256(b"".join(gzip.compress([data]))).hexdigest()
    paths = [str(Path(__file__).parents[3]), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    command = [program("qemu-x86_64"), "-cpu", cpu, os.path.realpath(sys.executable), "-I", "-S", "-c", PROGRAM]
    finished = subprocess.run(
        [*command, json.dumps(paths), json.dumps(LINES)], check=False, capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == here
