"""The wrapped model where libraries expect a model: attributes, signature, copies, pipelines, any tensor."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from csl_plugin import CSLError, CSLWrapper, RegionMap, fuse, load_proposer, split_components
from csl_plugin.adapters import FlipAverage, OutputAdapter, SlidingWindow, preset

SUPERPIXELS = load_proposer("superpixels:40")
PIXELS = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


class Model(nn.Module):
    """With the attributes of a model of transformers, and a method of prediction."""

    main_input_name = "pixel_values"
    base_model_prefix = "body"
    config_class = dict

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.config = {"num_labels": 4}
        self._private = 1

    @property
    def device(self):
        return self.body.weight.device

    @property
    def dtype(self):
        return self.body.weight.dtype

    def can_generate(self):
        return False

    def save_pretrained(self, folder):
        return f"saved in {folder}"

    def predict(self, pixel_values):
        return self(pixel_values)

    def forward(self, pixel_values, labels=None, output_attentions=None):
        logits = self.body(pixel_values)
        return {"logits": logits, **({} if labels is None else {"loss": logits.mean()})}


def wrapped(model=None):
    return CSLWrapper(Model() if model is None else model, SUPERPIXELS, OutputAdapter("logits", "logits"))


def test_attributes_are_those_of_the_model():
    segment = wrapped()
    assert segment.config is segment.model.config
    assert segment.main_input_name == "pixel_values"
    assert segment.base_model_prefix == "body"
    assert segment.config_class is dict
    assert segment.device == torch.device("cpu")
    assert segment.dtype == torch.float32
    assert segment.half().dtype == torch.float16
    assert not segment.can_generate()
    assert segment.save_pretrained("here") == "saved in here"
    assert list(segment.state_dict()) == ["model.body.weight", "model.body.bias"]


def test_what_would_go_around_the_fusion_is_not_among_them():
    segment = wrapped()
    with pytest.raises(AttributeError, match=r"knows nothing of the fusion.*\.eject\(\)\.predict"):
        segment.predict  # noqa: B018
    for name in ("body", "module", "_private", "generate"):
        assert not hasattr(segment, name)
    with pytest.raises(AttributeError, match="nor has its model, a Model"):
        segment.anything  # noqa: B018
    with pytest.raises(AttributeError, match="nor has its model, a function"):
        CSLWrapper(lambda x: x, SUPERPIXELS).config  # noqa: B018
    with pytest.raises(AttributeError):
        CSLWrapper.__new__(CSLWrapper).config  # noqa: B018


def test_an_attribute_that_is_set_is_the_wrappers_own():
    segment = wrapped()
    segment.config, segment.device = {"num_labels": 9}, "somewhere"
    assert segment.config["num_labels"] == 9
    assert segment.device == "somewhere"
    assert segment.model.config["num_labels"] == 4


def test_the_signature_is_that_of_the_model():
    segment = wrapped()
    assert list(inspect.signature(segment.forward).parameters) == [
        "pixel_values",
        "labels",
        "output_attentions",
    ]
    assert "labels" in inspect.signature(CSLWrapper.forward).parameters  # of the class, as Trainer asks
    free = CSLWrapper(lambda x, *, scale=1: x, SUPERPIXELS)
    assert str(inspect.signature(free.forward)) == "(x, *, scale=1)"
    assert inspect.getdoc(segment.forward) == inspect.getdoc(CSLWrapper.forward)
    inspect.signature(CSLWrapper(np.add, SUPERPIXELS).forward)
    assert segment.forward(PIXELS)["logits"].equal(segment(PIXELS)["logits"])


def test_the_loss_passes_through():
    output = wrapped()(PIXELS, labels=torch.zeros(2, 24, 32, dtype=torch.long))
    assert output["loss"].requires_grad
    output["loss"].backward()


def test_copies_and_pickles_are_wrappers_of_their_own():
    segment = wrapped()
    expected = segment(PIXELS)["logits"]
    for other in (copy.deepcopy(segment), pickle.loads(pickle.dumps(segment)), copy.copy(segment)):  # noqa: S301
        assert type(other) is CSLWrapper
        assert other(PIXELS)["logits"].equal(expected)
        assert next(iter(inspect.signature(other.forward).parameters)) == "pixel_values"
    assert copy.deepcopy(segment).model is not segment.model
    file = io.BytesIO()
    torch.save(segment.state_dict(), file)
    other = wrapped()
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert other(PIXELS)["logits"].equal(expected)


def test_hooks_and_replaced_forwards_work():
    segment, seen = wrapped(), []
    handle = segment.register_forward_hook(lambda module, args, output: seen.append(type(output)))
    expected = segment(PIXELS)["logits"]
    handle.remove()
    assert seen == [dict]
    inner = segment.forward
    segment.forward = lambda *args, **kwargs: {**inner(*args, **kwargs), "extra": 1}
    assert segment(PIXELS)["extra"] == 1
    del segment.forward
    assert segment(PIXELS)["logits"].equal(expected)
    assert nn.DataParallel(segment)(PIXELS)["logits"].equal(expected)


# transformers


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip("transformers")


def processor(hf, name, **options):
    kind = getattr(hf, f"{name}ImageProcessorPil", None) or getattr(hf, f"{name}ImageProcessor")
    return kind(**options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "process", "subtasks"),
    [
        ("segformer", "Segformer", [None, "semantic"]),
        ("mask2former", "Mask2Former", [None, "semantic", "panoptic", "instance"]),
        ("maskformer", "MaskFormer", [None, "semantic", "panoptic", "instance"]),
        ("detr", "Detr", [None, "semantic", "panoptic", "instance"]),
        ("conditional_detr", "ConditionalDetr", [None, "semantic", "panoptic", "instance"]),
        ("rf_detr", "RfDetr", [None, "instance"]),
        ("sapiens2", "Sapiens2", [None, "semantic"]),
        ("tipsv2_dpt", "Tipsv2Dpt", [None, "semantic"]),
    ],
)
def test_the_pipeline_takes_the_wrapper(hf, name, process, subtasks):
    from PIL import Image

    from tests.adapters.test_transformers_models import model

    if process in ("RfDetr", "Sapiens2", "Tipsv2Dpt"):
        pytest.importorskip("torchvision", reason="their processors need it")
    plain, process = model(name), processor(hf, process, size={"height": 64, "width": 64})
    picture = Image.fromarray((PIXELS[0].movedim(0, -1) * 255).byte().numpy()).resize((70, 50))
    segment = CSLWrapper(plain, SUPERPIXELS, name)
    pipe = hf.pipeline("image-segmentation", model=segment, image_processor=process)
    replaced = hf.pipeline("image-segmentation", model=plain, image_processor=process)
    replaced.model = segment
    for subtask in subtasks:
        found = pipe(picture, subtask=subtask)
        again = replaced(picture, subtask=subtask)
        assert [(one["label"], one["score"]) for one in found] == [
            (one["label"], one["score"]) for one in again
        ]
        assert all(one["mask"].size == (70, 50) for one in found)
    if "semantic" not in subtasks:
        return
    semantic = process.post_process_semantic_segmentation(
        segment(**process(picture, return_tensors="pt")), target_sizes=[(50, 70)]
    )[0]
    labels = {plain.config.id2label[int(label)] for label in semantic.unique()}
    assert {one["label"] for one in pipe(picture, subtask="semantic")} == labels


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_made_with_the_model_says_nothing_of_the_wrapper(hf, caplog, monkeypatch):
    """What `pipeline` compares with its list is the name of the class alone."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)  # False before transformers 5
    from PIL import Image

    from tests.adapters.test_transformers_models import model

    plain = model("segformer")
    process = processor(hf, "Segformer", size={"height": 64, "width": 64})
    picture = Image.fromarray((PIXELS[0].movedim(0, -1) * 255).byte().numpy())
    segment = CSLWrapper(plain, SUPERPIXELS, "segformer")
    said = hf.pipeline("image-segmentation", model=segment, image_processor=process)
    assert "'CSLWrapper' is not supported" in caplog.text
    caplog.clear()
    pipe = hf.pipeline("image-segmentation", model=plain, image_processor=process)
    pipe.model = segment
    assert [one["label"] for one in pipe(picture)] == [one["label"] for one in said(picture)]
    assert "not supported" not in caplog.text


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_evaluates_and_predicts_the_wrapper(hf, tmp_path):
    pytest.importorskip("accelerate")
    from tests.adapters.test_transformers_models import arguments, model

    labels = torch.randint(0, 5, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    pixels = arguments("segformer")[1]["pixel_values"]
    frames = [
        {"pixel_values": one, "labels": label, "name": "dropped"}
        for one, label in zip(pixels, labels, strict=True)
    ]
    segment = CSLWrapper(copy.deepcopy(model("segformer")), SUPERPIXELS, "segformer")
    options = {"per_device_eval_batch_size": 2, "report_to": [], "use_cpu": True}
    trainer = hf.Trainer(
        model=segment,
        args=hf.TrainingArguments(str(tmp_path), **options),
        eval_dataset=frames,
        compute_metrics=lambda found: {"classes": found.predictions.shape[1]},
    )
    measured = trainer.evaluate()
    with torch.no_grad():
        plain = segment.model(pixel_values=pixels, labels=labels)
        fused = segment(pixel_values=pixels).logits
    assert measured["eval_loss"] == pytest.approx(float(plain.loss), rel=1e-5)
    assert measured["eval_classes"] == 5
    predicted = trainer.predict(frames)
    np.testing.assert_allclose(predicted.predictions, fused.numpy(), atol=1e-6)
    np.testing.assert_array_equal(predicted.label_ids, labels.numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["maskformer", "detr", "conditional_detr"])
def test_the_trainer_evaluates_models_with_queries(hf, tmp_path, name):
    """Whose number differs from batch to batch after the fusion: the trainer pads them."""
    pytest.importorskip("accelerate")
    from tests.adapters.test_transformers_models import arguments, model

    masks = torch.zeros(2, 64, 64)
    masks[0, :, :30], masks[1, :, 30:] = 1, 1
    classes = torch.tensor([0, 1])
    own = {"mask_labels": masks, "class_labels": classes}
    options = {"label_names": ["mask_labels", "class_labels"]}
    if name != "maskformer":
        boxes = torch.tensor([[0.25, 0.5, 0.45, 1.0], [0.7, 0.5, 0.5, 1.0]])
        own, options = {"labels": {"class_labels": classes, "boxes": boxes, "masks": masks}}, {}

    def collate(rows):
        pixels = torch.stack([row["pixel_values"] for row in rows])
        return {"pixel_values": pixels, **{key: [row[key] for row in rows] for key in own}}

    pixels = arguments(name, batch=3)[1]["pixel_values"]
    arguments_ = hf.TrainingArguments(
        str(tmp_path),
        per_device_eval_batch_size=2,
        report_to=[],
        use_cpu=True,
        remove_unused_columns=False,
        **options,
    )
    losses = [
        hf.Trainer(
            model=one,
            args=arguments_,
            eval_dataset=[{"pixel_values": each, **own} for each in pixels],
            data_collator=collate,
        ).evaluate()["eval_loss"]
        for one in (model(name), CSLWrapper(model(name), SUPERPIXELS, name))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_accelerates_wrappers_keep_the_fusion():
    accelerate = pytest.importorskip("accelerate")
    segment = wrapped()
    expected = segment(PIXELS)["logits"]
    prepared = accelerate.Accelerator(cpu=True).prepare_model(segment, evaluation_mode=True)
    assert prepared(PIXELS)["logits"].equal(expected)
    hooked = accelerate.hooks.add_hook_to_module(segment, accelerate.hooks.ModelHook())
    assert hooked(PIXELS)["logits"].equal(expected)
    inner = wrapped(accelerate.hooks.add_hook_to_module(segment.model, accelerate.hooks.ModelHook()))
    assert inner(PIXELS)["logits"].equal(expected)


# Tensors and options of every kind


ONES = torch.ones(2, 4, 24, 32)


@pytest.mark.parametrize(
    "made",
    [
        lambda: ONES.long(),
        lambda: ONES.bool(),
        lambda: ONES.to(torch.complex64),
        lambda: ONES.to_sparse(),
        lambda: torch.quantize_per_tensor(ONES, 0.1, 0, torch.quint8),
        lambda: ONES.to(torch.float8_e5m2),
    ],
    ids=["integers", "booleans", "complex", "sparse", "quantized", "float8"],
)
@pytest.mark.parametrize("kind", ["logits", "binary_logits", "probabilities"])
@pytest.mark.filterwarnings("ignore")
def test_scores_that_are_no_dense_floats_are_refused(made, kind):
    scores = made()
    with pytest.raises(CSLError, match="model output: got"):
        CSLWrapper(lambda x: scores, SUPERPIXELS, OutputAdapter(kind))(PIXELS)


def test_tensors_without_values_are_refused():
    from torch._subclasses.fake_tensor import FakeTensorMode

    segment = wrapped()
    with pytest.raises(CSLError, match="hold values"):
        copy.deepcopy(segment).to("meta")(PIXELS.to("meta"))
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(CSLError, match="hold"):
        segment(torch.rand(1, 3, 24, 32))
    with pytest.raises(CSLError, match="distribution: got a tensor without values"):
        CSLWrapper(
            lambda x: x.to("meta"), lambda x: RegionMap(torch.zeros(2, 24, 32).int()), "probabilities"
        )(PIXELS)


@pytest.mark.parametrize(
    "images",
    [
        PIXELS.double(),
        PIXELS.to(memory_format=torch.channels_last),
        PIXELS.transpose(2, 3).contiguous().transpose(2, 3),
        PIXELS[:1].expand(2, -1, -1, -1),
        PIXELS.clone().requires_grad_(),
    ],
    ids=["double", "channels last", "strided", "expanded", "with gradient"],
)
def test_images_of_any_layout_give_the_same(images):
    model = lambda x: x.float() * 0.5 + 0.25  # noqa: E731
    segment = CSLWrapper(model, SUPERPIXELS, "probabilities")
    plain = segment(images.detach().float().contiguous())
    torch.testing.assert_close(segment(images).detach(), plain, atol=1e-6, rtol=1e-6)


def test_an_empty_batch_is_named():
    with pytest.raises(CSLError, match="every axis at least 1"):
        CSLWrapper(lambda x: x, SUPERPIXELS, "probabilities")(PIXELS[:0])


ODD = [np.ones(3), torch.ones(3), "maybe", [1], 2]


@pytest.mark.parametrize("value", ODD, ids=str)
def test_options_of_other_types_are_named(value):
    labels = torch.zeros(24, 32, dtype=torch.long)
    scores = PIXELS[0]
    for argument in ("split", "check", "rule", "logits"):
        with pytest.raises(CSLError, match=f"{argument}: got"):
            fuse(scores, labels, **{argument: value})
        if argument != "logits":
            with pytest.raises(CSLError, match=f"{argument}: got"):
                CSLWrapper(Model(), SUPERPIXELS, **{argument: value})
    with pytest.raises(CSLError, match="connectivity: got"):
        split_components(RegionMap(labels[None]), value)
    with pytest.raises(CSLError, match="align_corners: got"):
        OutputAdapter("logits", align_corners=value)
    for argument in ("max_batch", "peak"):
        given = -1 if isinstance(value, int) else value
        with pytest.raises(CSLError, match=f"{argument}: got"):
            OutputAdapter("logits", **{argument: given})
    with pytest.raises(CSLError, match="order: got"):
        OutputAdapter("logits", order=value)
    with pytest.raises(CSLError, match="window: got"):
        SlidingWindow(Model(), preset("logits"), value, (8, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (0.5, float("nan"), 0.5)}, "mean: got"),
        ({"mean": (0.5, float("inf"), 0.5)}, "mean: got"),
        ({"std": (0.5, 0.0, 0.5)}, "std: got"),
        ({"std": (0.5, -1.0, 0.5)}, "std: got"),
        ({"std": torch.ones(3, 2)}, "std: got"),
        ({"peak": float("nan")}, "peak: got"),
        ({"item": 1.5}, "item: got"),
        ({"item": ["out"]}, "item: got"),
        ({"item": True}, "item: got"),
        ({"item": ("out", None)}, "item: got"),
    ],
)
def test_constants_that_cannot_be_are_named(options, message):
    with pytest.raises(CSLError, match=message):
        OutputAdapter("logits", **options)


def test_the_rule_of_the_wrapper_is_that_of_fuse_by_default():
    assert CSLWrapper(Model(), SUPERPIXELS).rule == inspect.signature(fuse).parameters["rule"].default


@pytest.mark.parametrize(
    "images", [PIXELS[0], [PIXELS[0]], "street.png", PIXELS[:0]], ids=["chw", "list", "str", "0"]
)
def test_augmentations_name_images_they_cannot_take(images):
    for made in (
        SlidingWindow(Model(), preset("logits"), (8, 8), (8, 8)),
        FlipAverage(Model(), preset("logits")),
    ):
        with pytest.raises(CSLError, match="images: got"):
            made(images)


@pytest.mark.parametrize("name", ["segformer", "mask2former"])
def test_normalized_images_name_the_preset_of_the_model(name):
    from tests.adapters.test_transformers_models import arguments, model

    with pytest.raises(CSLError, match=f"RGB in .0, 1.*adapter=preset.'{name}'"):
        CSLWrapper(model(name), SUPERPIXELS)(pixel_values=arguments(name)[1]["pixel_values"] * 5)
