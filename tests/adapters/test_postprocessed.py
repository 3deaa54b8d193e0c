"""Teachers that return more than one map of logits: post-processing with scores, dense heads, videos."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers")

import transformers as hf

from csl_plugin import CSLWrapper, RegionMap, fuse, load_proposer
from csl_plugin.adapters import check_adapter, preset, recognize
from csl_plugin.errors import CSLError, OutputError, ShapeError
from tests.adapters.test_transformers_models import _tipsv2_dpt, arguments, blocks, distribution, model

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
SIZES = [(40, 48), (40, 48)]


def processor(name):
    kind = getattr(hf, f"{name}ImageProcessorPil", None) or getattr(hf, f"{name}ImageProcessor")
    if "return_segmentation_scores" not in kind.post_process_semantic_segmentation.__doc__:
        pytest.skip(f"transformers {hf.__version__} returns no scores")
    return kind()


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "process", "adapter", "other"),
    [
        ("segformer", "Segformer", "postprocessed_logits", "postprocessed_queries"),
        ("maskformer", "MaskFormer", "postprocessed_queries", "postprocessed_logits"),
    ],
)
def test_post_processing_with_scores(name, process, adapter, other):
    process, known = processor(process), preset(name)

    def teacher(images):
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in IMAGENET)
        output = model(name)(pixel_values=(images - mean) / std)
        options = {"target_sizes": SIZES[: len(images)], "return_segmentation_scores": True}
        return process.post_process_semantic_segmentation(output, **options)

    plain, output = teacher(IMAGES), model(name)(**arguments(name)[1])
    native = output.logits if name == "segformer" else known.read(output)
    scores = torch.nn.functional.interpolate(native, SIZES[0], mode="bilinear", align_corners=False)
    expected = scores.softmax(1) if name == "segformer" else scores
    torch.testing.assert_close(preset(adapter).read(plain), expected, atol=1e-5, rtol=1e-5)
    fused = CSLWrapper(teacher, blocks, adapter)(IMAGES)
    assert [type(one) for one in fused] == [type(one) for one in plain]
    wanted = fuse(expected, RegionMap(blocks(IMAGES).labels).resize(SIZES[0]))
    for index, (new, old) in enumerate(zip(fused, plain, strict=True)):
        torch.testing.assert_close(new.segmentation_scores, wanted[index], atol=1e-5, rtol=1e-5)
        assert new.segmentation.equal(new.segmentation_scores.argmax(0))
        assert new.segmentation.dtype == old.segmentation.dtype
        assert old.segmentation_scores.equal(plain[index].segmentation_scores)
    with pytest.raises(OutputError, match=rf"these fit: .*{adapter}.*") as caught:
        recognize(plain)
    assert other in str(caught.value), "the structure alone does not tell"
    for values in plain:
        values["segmentation_scores"] = None
    with pytest.raises(OutputError, match="a tensor at 'segmentation_scores'"):
        preset(adapter).read(plain)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@torch.no_grad()
def test_the_dense_heads_of_tipsv2():
    torch.manual_seed(0)
    network = _tipsv2_dpt(dense=True).eval()
    output = network(pixel_values=IMAGES)
    with pytest.raises(OutputError, match='pass the preset "tipsv2_dpt_dense"'):
        recognize(output)
    wrapped = CSLWrapper(network, blocks, "tipsv2_dpt_dense")(pixel_values=IMAGES)
    expected = fuse(output.segmentation_logits.softmax(1), blocks(IMAGES))
    torch.testing.assert_close(wrapped.segmentation_logits, expected)
    assert wrapped.normals.equal(output.normals)
    assert wrapped.predicted_depth.equal(output.predicted_depth)
    check_adapter(preset("tipsv2_dpt_dense"), network, kwargs={"pixel_values": IMAGES}, odd_sizes=False)


@torch.no_grad()
def test_the_frames_of_a_video_have_regions_of_their_own():
    network = model("videomt")
    images, named = arguments("videomt")
    seen = []

    def proposer(frames):
        seen.append(frames)
        return load_proposer("superpixels:30")(frames)

    wrapped = CSLWrapper(network, proposer)
    with pytest.raises(CSLError, match=r"the preset 'videomt' is undone.*adapter=preset\('videomt'"):
        wrapped(pixel_values_videos=5 * named["pixel_values_videos"])
    output = CSLWrapper(network, proposer, "videomt")(**named)
    torch.testing.assert_close(torch.cat(seen), images, atol=1e-6, rtol=0)
    plain = distribution("videomt", network(**named))
    regions = load_proposer("superpixels:30")(images)
    fused = fuse(plain, tuple(one.resize(plain.shape[-2:]) for one in regions))
    torch.testing.assert_close(preset("videomt").read(output), fused, atol=1e-6, rtol=1e-5)
    with pytest.raises(ShapeError, match=r"2 videos.*one video"):
        CSLWrapper(network, proposer, "videomt")(
            pixel_values_videos=named["pixel_values_videos"].expand(2, -1, -1, -1, -1)
        )
