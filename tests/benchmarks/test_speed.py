"""The benchmarks from end to end on a tiny image, and the results of all contestants."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks import machine
from benchmarks.speed import checkouts, gpu, inputs, memory, plot, report, run, targets
from benchmarks.speed.contestants import Spec
from benchmarks.speed.measure import call, measure
from benchmarks.speed.stages import STAGES, build

pytestmark = pytest.mark.slow

TINY = (64, 96)
SPECS = [
    Spec("assign", TINY),
    Spec("assign", TINY, source="noise"),
    Spec("components", TINY),
    Spec("means", TINY, 3),
    Spec("apply", TINY, 3),
    Spec("labels", TINY, 3),
    Spec("whole", TINY, 1),
    Spec("whole", TINY, 3),
    Spec("scaling", (32, 64), 1),
    Spec("lowres", TINY, 3),
    Spec("objects", (256, 512)),
    Spec("pixel metrics", TINY),
    Spec("component metrics", TINY),
    Spec("large", TINY, 3),
]


@pytest.fixture(scope="module", autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.key)
def test_every_compared_result_is_right(spec):
    case = build(spec)
    claims = 0
    for entry in case.contestants:
        result, _ = call(entry)
        if entry.verify is not None:
            agreement = entry.verify(result)
            assert agreement.holds, f"{entry.name}: {agreement.text}"
            claims += 1
    assert claims >= (0 if spec.stage == "large" else 3)
    assert all(line for line in case.missing)


def test_every_stage_is_tried_here():
    assert {spec.stage for spec in SPECS} == set(STAGES)


def test_a_job_ends_in_a_report(tmp_path):
    chosen = [Spec("means", TINY, 3), Spec("scaling", (32, 64), 1), Spec("scaling", TINY, 1)]
    done = run.run(chosen, rounds=2)
    run.save(done, tmp_path / "results.json")
    again = run.read(tmp_path / "results.json")
    assert again == done
    path = report.write(again, tmp_path)
    text = path.read_text()
    for expected in ("index_add", "load average", "Further sizes", "## Targets", "share of floor"):
        assert expected in text
    report.write_gpu_section("times of a card", tmp_path)
    report.write(again, tmp_path)
    assert path.read_text().count("times of a card") == 1
    drawn = plot.draw(again.results, tmp_path / "plot.png")
    assert drawn == (tmp_path / "plot.png").exists()


def test_every_target_is_looked_up_among_what_a_full_run_measures():
    keys = {spec.key for spec in run.specs(quick=False)}
    asked = []

    class Recorder(dict):
        def get(self, key, default=None):
            asked.append(key)
            return default

    book = targets.Book([])
    book.results = Recorder()
    rows = [*targets._assign(book), *targets._whole(book), *targets._means(book), *targets._components(book)]
    rows += [*targets._fusion(book), *targets._labels(book)]
    assert set(asked) <= keys
    assert {row.met for row in rows} == {None}


def test_a_target_is_judged_by_medians():
    result = measure(Spec("means", TINY, 3), rounds=1)
    result["ours"].seconds = [0.1, 0.2, 9.0]
    result["index_add"].seconds = [1.0, 1.0, 1.0]
    book = targets.Book([result])
    assert book.faster("", 5, result.spec.key, "ours", "index_add").met is True
    assert book.faster("", 5.1, result.spec.key, "ours", "index_add").met is False
    assert book.within("", 0.2, result.spec.key, "ours", "index_add").met is True
    assert book.faster("", 5, result.spec.key, "ours", "nobody").met is None


@pytest.mark.skipif(not memory._RESET.exists(), reason="peak memory is the Linux kernel's value")
def test_memory_is_that_of_the_call_alone():
    size = (256, 512)
    peaks = memory.extra_bytes([Spec("apply", size, 19)])["apply 256x512 C=19"]
    output = 19 * 4 * size[0] * size[1]
    assert peaks["D.clone()"] == pytest.approx(output, abs=1.5e6)
    assert peaks["m[:, a] * D"] == pytest.approx(2 * output, abs=1.5e6)
    assert peaks["D.mul_(1.)"] < 1.5e6


def test_a_network_takes_the_place_of_the_scene(tmp_path):
    scene = inputs.scene(TINY, queries=8, valid=5)
    path = tmp_path / "proposals.npz"
    np.savez(path, mask_logits=scene.logits[None].numpy(), validity=scene.validity[None].numpy())
    read = inputs.from_file(path)
    assert read.size == TINY
    torch.testing.assert_close(read.logits, scene.logits)
    torch.testing.assert_close(read.validity, scene.validity)
    assert {spec.source for spec in run.of_network(path)} == {str(path)}
    assert "network" in run.of_network(path)[0].key
    assert build(run.of_network(path)[0]).contestants


def test_scenes_are_like_photographs_of_streets():
    scene = inputs.scene((512, 1024))
    assert 0.05 < scene.boundary_fraction() < 0.2
    winners = (scene.logits.sigmoid() * scene.validity[:, None, None]).argmax(0)
    assert 15 <= len(winners.unique()) <= inputs.VALID + 3
    assert inputs.white_noise((64, 64)).boundary_fraction() > 0.9


def test_the_gpu_rows_run_on_any_device():
    for entry in gpu.contestants(torch.device("cpu"), TINY, (1, 2)):
        result = entry.call()
        if entry.claim is not None:
            assert entry.claim(result)


def test_the_gpu_page_tells_copies_of_d_and_what_waits():
    def row(name, microseconds, waits=""):
        return gpu.Row(name, microseconds, None, 0, 0, "", waits)

    rows = [
        row("D.clone(), C=1", 10.0),
        row("eq. 3, ours, given regions, C=1", 19.0, "never waits"),
        row("D.clone(), C=19", 100.0),
        row("eq. 3, ours, given regions, C=19", 210.0, "reads counts alone"),
        row("default rule, ours, three partitions, C=19", 250.0, "4 copies to the host, 4 waits"),
    ]
    met = {verdict.target: verdict.met for verdict in gpu.verdicts(rows)}
    assert met["eq. 3 with given regions, C=1: at most two copies of D"] is True
    assert met["eq. 3 with given regions, C=19: at most two copies of D"] is False
    waits = [is_met for target, is_met in met.items() if "synchronization" in target]
    assert waits == [True, True, False]
    assert "| 250.0 |  | 2.50 |" in gpu.render(rows, "a card")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says so where there is no GPU")
def test_without_a_gpu_it_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.gpu"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("no GPU here")


def test_the_machine_is_described_without_its_name():
    import platform

    assert platform.node() not in " ".join(machine.describe().values()) or len(platform.node()) < 4


def test_a_checkout_is_compared_with_itself(capsys):
    checkouts.main([str(checkouts.ROOT), "--size", "32", "64", "--rounds", "1"])
    rows = capsys.readouterr().out.splitlines()
    assert [row[:38].rstrip() for row in rows] == list(checkouts.cases(32, 64))
    assert all(float(row.split("ratio ")[1].split()[0]) > 0 for row in rows)
