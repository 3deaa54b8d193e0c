"""The commands on the protocol of S3, spoken by moto on this machine; S3 itself cannot be asked here."""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.io import write_png, write_scores
from csl_plugin.io.remote import list_folder, look_up
from csl_plugin.places import RemotePath

LARGE = "large packages that are no part of the extra `test`"
SIZE = 24, 32
COUNT = 12
FUSE = ["fuse", "s3://bucket/images", "s3://bucket/scores", "s3://bucket/out", "--proposer", "superpixels"]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def bucket(monkeypatch):
    """A store with a bucket of images and scores; the processes of a job find it as they find S3."""
    s3fs = pytest.importorskip("s3fs", reason=LARGE)
    server_of = pytest.importorskip("moto.server", reason=LARGE)
    server = server_of.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    store.mkdir("bucket")
    for seed in range(COUNT):
        draw = np.random.default_rng(seed)
        write_png(f"s3://bucket/images/{seed:02}.png", draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
        write_scores(f"s3://bucket/scores/{seed:02}.npy", draw.random(SIZE).astype(np.float32))
    yield store
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def counts(capsys, words, code=0):
    assert main([*words, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    return found["done"], found["skipped"], len(found["failed"])


def test_a_job_of_two_processes_its_repetition_and_a_changed_input(bucket, capsys):
    assert counts(capsys, [*FUSE, "--jobs", "2"]) == (COUNT, 0, 0)
    assert counts(capsys, FUSE) == (0, COUNT, 0)
    write_scores("s3://bucket/scores/03.npy", np.zeros(SIZE, np.float32))
    assert counts(capsys, FUSE) == (1, COUNT - 1, 0)
    assert look_up(RemotePath("s3://bucket/out/00.npy")).tag.startswith('"')


def test_shards_and_the_run_that_joins_them(bucket, capsys):
    half = COUNT // 2
    assert counts(capsys, [*FUSE, "--shard", "1/2"]) == (half, 0, 0)
    assert counts(capsys, [*FUSE, "--shard", "2/2"]) == (half, 0, 0)
    assert counts(capsys, FUSE) == (0, COUNT, 0)


def test_a_killed_job_goes_on(bucket, capsys):
    command = [sys.executable, "-m", "csl_plugin", *FUSE]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and not bucket.exists("bucket/out/02.npy"):
                bucket.invalidate_cache()
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert list_folder(RemotePath("s3://bucket/out/csl-plugin.lock"))
    done, skipped, failed = counts(capsys, FUSE)
    assert (done + skipped, failed) == (COUNT, 0)
    assert skipped >= 2
    assert not list_folder(RemotePath("s3://bucket/out/csl-plugin.lock"))
