"""A job in another process, beside which others may work or not."""

import subprocess
import sys

import pytest

HOLDER = """
import sys
from pathlib import Path
from csl_plugin._shards import shard_of
from csl_plugin.io.output_folder import OutputFolder
part = sys.argv[2]
folder = OutputFolder(Path(sys.argv[1]), {"command": "fuse"}, shard_of(part) if "/" in part else None)
with folder.taken(shared=part != "alone"):
    (folder.path / ".csl-plugin-1.tmp").write_text("of a living job")
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a job in another process, which holds the folder or a shard until its stdin ends."""
    started = []

    def start(part):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "out"), part],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
