"""anomalib's predictions: recognized whole, fused in their own container, nothing of the plain map kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from csl_plugin import Calibration, CSLError, CSLWrapper, RegionMap, fuse
from csl_plugin.adapters import check_adapter, preset, recognize

# anomalib's own, in its own code
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


class InferenceBatch(NamedTuple):
    """As anomalib 2 defines it."""

    pred_score: Tensor | None = None
    pred_label: Tensor | None = None
    anomaly_map: Tensor | None = None
    pred_mask: Tensor | None = None


class Distances(nn.Module):
    """The distance of each pixel from gray, as a model of anomalib returns it."""

    def forward(self, images: Tensor) -> InferenceBatch:
        maps = (images - 0.5).abs().mean(1, keepdim=True)
        return InferenceBatch(maps.amax((-2, -1)), maps.amax((-2, -1)) > 0.2, maps, maps > 0.2)


def images(count=2, size=(24, 32)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3))


def halves(batch):
    columns = torch.arange(batch.shape[-1]) * 2 // batch.shape[-1]
    return RegionMap(columns.expand(len(batch), batch.shape[-2], -1).contiguous())


def test_a_model_is_wrapped_without_a_preset():
    model = Distances()
    plain, found = model(images()), CSLWrapper(model, halves)(images())
    assert type(found) is InferenceBatch
    torch.testing.assert_close(found.anomaly_map, fuse(plain.anomaly_map, halves(images())))
    assert not torch.equal(found.anomaly_map, plain.anomaly_map)


def test_nothing_of_the_plain_map_stays_as_if_it_were_the_fused_ones():
    found = CSLWrapper(Distances(), halves, "anomalib")(images())
    assert torch.equal(found.pred_score, found.anomaly_map.amax((-2, -1)))
    assert found.pred_score.shape == (2, 1)
    assert found.pred_label is None
    assert found.pred_mask is None
    maps = torch.rand(2, 1, 24, 32)
    alone = CSLWrapper(lambda x: InferenceBatch(anomaly_map=maps), halves, "anomalib")(images())
    assert alone.pred_score is None
    flat = CSLWrapper(lambda x: InferenceBatch(torch.ones(2), None, maps), halves, "anomalib")(images())
    assert flat.pred_score.shape == (2,)


def test_predictions_of_other_forms_are_read_or_refused_by_name():
    maps = images()[:, :1]

    def fused(anomaly_map, score=None, batch=None):
        output = InferenceBatch(score, None, anomaly_map, None)
        return CSLWrapper(lambda x: output, halves, "anomalib")(images() if batch is None else batch)

    plain = fused(maps).anomaly_map
    read_only = np.frombuffer(maps.numpy().tobytes(), np.float32).reshape(maps.shape)
    for stored in (read_only, maps.numpy().astype(">f4")):
        np.testing.assert_array_equal(fused(stored).anomaly_map, plain)
    kept = fused(maps.clone().requires_grad_())
    torch.testing.assert_close(kept.anomaly_map.detach(), plain)
    for score in (0.5, np.float32(0.5)):
        one = fused(maps[:1], score, images()[:1])
        assert type(one.pred_score) is type(score)
        assert float(one.pred_score) == float(one.anomaly_map.max())
    for score in (torch.rand(3), torch.tensor(0.5), 0.5):
        with pytest.raises(CSLError, match=r"pred_score: .* one value for each of 2 maps"):
            fused(maps, score)
    with pytest.raises(CSLError, match=r"pred_score: got a builtins\.list"):
        fused(maps, [0.5, 0.2])
    with pytest.raises(CSLError, match=r"anomaly_map: got a builtins\.str"):
        fused("maps")
    with pytest.raises(CSLError, match=r"shape \(2, 3, 24, 32\).*expected one channel"):
        fused(images(), torch.rand(2))


@pytest.mark.parametrize("name", ["anomalib", "anomalib_torch"])
def test_the_laws_of_an_adapter(name):
    given = images() if name == "anomalib" else (images() - MEAN) / STD
    check_adapter(
        preset(name), lambda x: Distances()((x * STD + MEAN) if name != "anomalib" else x), (given,)
    )
    torch.testing.assert_close(preset(name).images((given,), {}), images(), atol=1e-6, rtol=0)


def test_a_torch_model_with_normalized_images_is_told_the_preset():
    with pytest.raises(CSLError, match="'anomalib', 'anomalib_torch'"):
        CSLWrapper(Distances(), halves)((images() - MEAN) / STD)
    CSLWrapper(Distances(), halves, "anomalib_torch")((images() - MEAN) / STD)


def test_predictions_are_recognized_whole():
    class Other(NamedTuple):
        anomaly_map: Tensor
        pred_score: Tensor

    maps, score = torch.rand(1, 1, 4, 4), torch.rand(1)
    for output in ({"anomaly_map": maps, "pred_score": score}, Other(maps, score), {"anomaly_map": maps}):
        with pytest.raises(CSLError):
            recognize(output)
        with pytest.raises(CSLError, match="predictions of anomalib 2: pred_score, pred_label"):
            preset("anomalib").read(output)
    with pytest.raises(CSLError, match="without an anomaly map"):
        preset("anomalib").read(InferenceBatch(score))
    with pytest.raises(CSLError, match="Call the model in eval mode"):
        preset("anomalib").read(torch.rand(8, 30))


def test_distances_need_no_calibration_and_scores_of_both_signs_do():
    plain = Distances()(images())
    assert torch.equal(preset("anomalib").read(plain), plain.anomaly_map)
    signed = InferenceBatch(anomaly_map=plain.anomaly_map - 1)
    with pytest.raises(CSLError, match=r"from 0 on.*preset\(name, calibration=fitted\)"):
        preset("anomalib").read(signed)
    fitted = Calibration.fit_quantile([preset("anomalib").raw(signed)])
    scores = preset("anomalib", calibration=fitted).read(signed)
    assert scores.min() >= 0
    assert scores.max() <= 1
    with pytest.raises(CSLError, match="item"):
        preset("anomalib", item="pred_mask")


def fitted_patchcore(anomalib_models):
    torch.manual_seed(0)
    model = anomalib_models.Patchcore(backbone="resnet18", layers=["layer1"], pre_trained=False)
    model.model.train()
    model.model((images(2, (64, 64)) - MEAN) / STD)
    model.model.subsample_embedding(0.1)
    return model.eval()


@pytest.fixture(scope="module")
def anomalib_models():
    return pytest.importorskip("anomalib.models", reason="anomalib is not installed")


@pytest.fixture(scope="module")
def patchcore(anomalib_models):
    return fitted_patchcore(anomalib_models)


def test_patchcore_with_its_pre_and_post_processor(patchcore):
    given = images(2, (80, 48))
    plain, found = patchcore(given), CSLWrapper(patchcore, halves)(given)
    assert type(found) is type(plain)
    assert found.anomaly_map.shape == plain.anomaly_map.shape == (2, 1, 256, 256)
    regions = halves(given).resize((256, 256))
    torch.testing.assert_close(found.anomaly_map, fuse(plain.anomaly_map, regions))
    assert found.pred_score.shape == plain.pred_score.shape
    assert found.pred_mask is None


def test_a_torch_model_wrapped_within_its_own_module(anomalib_models):
    """anomalib's post-processor then makes score, label and mask of the fused map."""
    model, given = fitted_patchcore(anomalib_models), images(2, (256, 256))
    model.model = CSLWrapper(model.model, halves, "anomalib_torch")
    processor = model.post_processor
    inner = model.model((given - MEAN) / STD)
    for name, value in (("pixel", inner.anomaly_map), ("image", inner.pred_score)):
        getattr(processor, f"{name}_min").copy_(value.min())
        getattr(processor, f"{name}_max").copy_(value.max())
        getattr(processor, f"_{name}_threshold").copy_(value.median())
    found = model(given)
    assert 0 <= found.anomaly_map.min() < 0.5 < found.anomaly_map.max() <= 1
    assert torch.equal(found.pred_mask, found.anomaly_map > 0.5)
    assert found.pred_label.shape == (2,)


def test_padim(anomalib_models):
    model = anomalib_models.Padim(
        backbone="resnet18", layers=["layer1"], pre_trained=False, n_features=20
    ).model
    given = images(6, (64, 64))
    model.train()
    model((given - MEAN) / STD)
    model.fit()
    model.eval()
    found = CSLWrapper(model, halves, "anomalib_torch")((given - MEAN) / STD)
    assert torch.equal(found.pred_score, found.anomaly_map.amax((-2, -1)))
    check_adapter(preset("anomalib_torch"), model((given - MEAN) / STD), ((given - MEAN) / STD,))


def test_batches_of_the_engine_and_of_the_inferencers(patchcore):
    data = pytest.importorskip("anomalib.data")
    given = (images(2, (64, 64)) - MEAN) / STD
    plain = data.ImageBatch(image=given, image_path=["a.png", "b.png"], **patchcore.model(given)._asdict())
    fused = fuse(plain.anomaly_map.as_subclass(Tensor)[:, None], halves(given))[:, 0]
    again = CSLWrapper(lambda batch: batch, halves, "anomalib_torch")
    found = again(plain)
    assert type(found) is data.ImageBatch
    assert type(found.anomaly_map) is type(plain.anomaly_map)
    torch.testing.assert_close(found.anomaly_map.as_subclass(Tensor), fused)
    assert found.image_path == ["a.png", "b.png"]
    assert found.image is plain.image or torch.equal(found.image, plain.image)
    assert found.pred_mask is None
    stored = plain.to_numpy()
    written = preset("anomalib_torch").write(stored, preset("anomalib_torch").read(stored) * 2)
    assert isinstance(written.anomaly_map, np.ndarray)
    np.testing.assert_allclose(written.anomaly_map, 2 * stored.anomaly_map)
    np.testing.assert_allclose(written.pred_score, written.anomaly_map.max((-2, -1)))
    item, _ = plain
    assert again(item).anomaly_map.shape == item.anomaly_map.shape


def test_the_torch_inferencer(patchcore, tmp_path, monkeypatch):
    deploy = pytest.importorskip("anomalib.deploy")
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    torch.save({"model": patchcore}, tmp_path / "model.pt")
    inferencer = deploy.TorchInferencer(tmp_path / "model.pt", device="cpu")
    given = images(1, (80, 48))
    plain, found = inferencer.predict(given), CSLWrapper(inferencer.predict, halves)(given)
    assert type(found) is type(plain)
    assert found.anomaly_map.shape == (1, 256, 256)
    assert not torch.equal(found.anomaly_map, plain.anomaly_map)
