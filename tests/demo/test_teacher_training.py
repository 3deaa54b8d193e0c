import importlib.util
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from csl_plugin import Threshold
from csl_plugin.demo import StreetTeacher

SCRIPT = Path(__file__).parents[2] / "examples" / "train_street_teacher.py"


@pytest.mark.slow
def test_the_teacher_is_trained_and_a_stopped_training_goes_on(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("train_street_teacher", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, script)
    spec.loader.exec_module(script)
    weighted = script.Stage(1, 2, 1e-3, weighted=True, seed=1)
    blobs = script.Stage(1, 2, 1e-3, weighted=True, seed=2, blobs=True)
    monkeypatch.setattr(script, "STAGES", (script.Stage(2, 2, 1e-3, weighted=False, seed=0), weighted, blobs))
    monkeypatch.setattr(script, "OTHERS", 2)
    monkeypatch.setattr(script, "draw_street", lambda seed, *, unseen: script_street(seed, unseen))

    def trained(out):
        monkeypatch.setattr(sys, "argv", ["train_street_teacher.py", "--out", str(out)])
        assert script.main() == 0
        assert sorted(path.name for path in out.iterdir()) == ["teacher.safetensors", "threshold.json"]
        return (out / "teacher.safetensors").read_bytes()

    first = trained(tmp_path / "whole")
    StreetTeacher().load_state_dict(load_file(tmp_path / "whole" / "teacher.safetensors"))
    assert Threshold.load(tmp_path / "whole" / "threshold.json").images == 2
    assert "mean" in capsys.readouterr().out

    write, written = script.write, []

    def stop(path, model):
        write(path, model)
        written.append(path.name)
        if path.name == "stage-2.safetensors":
            raise KeyboardInterrupt

    monkeypatch.setattr(script, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped")
    monkeypatch.setattr(script, "write", lambda path, model: (written.append(path.name), write(path, model)))
    assert trained(tmp_path / "stopped") == first
    assert written == ["stage-1.safetensors", "stage-2.safetensors", "teacher.safetensors"]


def script_street(seed, unseen):
    from csl_plugin.demo import draw_street

    return draw_street(seed, (192, 288), unseen=unseen)
