"""The page "Industrial inspection", run as it is, and with anomalib's own model where it is installed."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from csl_plugin.io import read_scores

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "inspection.md"


def run_page():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    return names


def test_the_page_runs(tmp_path):
    names = run_page()
    found, plain = names["found"], names["model"](names["images"])
    assert type(found) is type(plain)
    assert names["pixels"].compute().ap > 0.95
    assert names["overlap"].compute().aupro_05 > 0.9
    assert names["pictures"].compute().image_auroc == 1.0
    inside = names["labels"][0].bool()
    assert names["masks"][0, 0][inside].float().mean() > 0.9
    assert names["masks"][1].float().mean() < 0.01
    (area,) = names["defects"].areas
    assert 800 < area < 1600  # the map is blurred, and the budget is small
    fused = names["calibrated"](names["images"]).anomaly_map
    assert 0 <= fused.min() <= fused.max() <= 1
    batch = type("Batch", (), {"image_path": ["x/crack/000.png"], "anomaly_map": found.anomaly_map[:1, 0]})
    names["write_maps"]([batch], tmp_path)
    np.testing.assert_array_equal(read_scores(tmp_path / "crack/000.npy"), found.anomaly_map[0, 0].numpy())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_holds_for_anomalibs_engine(tmp_path):
    """A data set in the layout of MVTec AD, read by anomalib, fitted, predicted, and fused in both ways."""
    pytest.importorskip("anomalib", reason="anomalib is not installed")
    from anomalib.data import MVTecAD
    from anomalib.engine import Engine
    from anomalib.models import Patchcore

    from benchmarks.inspection.textures import write_layout
    from csl_plugin.datasets import open_dataset

    write_layout(tmp_path / "data/bottle", "part", 0, train=4, good=1, each=1)
    data = MVTecAD(root=tmp_path / "data", category="bottle", eval_batch_size=2, num_workers=0)
    torch.manual_seed(0)
    model = Patchcore(
        backbone="resnet18",
        layers=["layer2"],
        pre_trained=False,
        coreset_sampling_ratio=0.02,
        num_neighbors=3,
    )
    engine = Engine(logger=False, default_root_dir=tmp_path, accelerator="cpu", enable_progress_bar=False)
    engine.fit(model, datamodule=data)
    names = run_page()
    plain = engine.predict(model, datamodule=data)
    fused = [names["fuse_batch"](batch) for batch in plain]
    assert all(batch.pred_mask is None and batch.gt_mask is not None for batch in fused)
    names["write_maps"](fused, tmp_path / "maps")
    assert len(list((tmp_path / "maps").rglob("*.npy"))) == 5
    ours = open_dataset("mvtec-ad", tmp_path / "data/bottle")
    theirs = {path for batch in plain for path in batch.image_path}
    assert theirs == {str(frame.image) for frame in ours.frames}
    names["with_fusion"](model, engine, data)
    (first, *_) = engine.predict(model, datamodule=data)
    assert torch.equal(first.pred_mask, first.anomaly_map > 0.5)
    assert not torch.equal(first.anomaly_map, plain[0].anomaly_map)
