"""Out-of-distribution detectors: D is one map, higher for more anomalous."""

from __future__ import annotations

from csl_plugin.adapters.output_path import Items
from csl_plugin.adapters.presets.anomaly_scores import (
    AnomalyScore,
    DenseHybrid,
    energy,
    entropy,
    negative_max_logit,
    one_minus_max_probability,
    one_minus_tanh,
    refined_one_minus_max,
    standardized_max_logit,
)
from csl_plugin.adapters.presets.preset import BGR_BYTES, BYTES, IMAGENET, Preset, Task
from csl_plugin.adapters.presets.queries import QueryObjectness, QueryRejection
from csl_plugin.adapters.score_kinds import NonNegative, RawScore, Sigmoid, Softmax

_OOD: Task = "out-of-distribution"
_SEM_SEG = Items((("sem_seg",),), each=True)
_MASKS = Items((("mask_pred",), ("mask_cls",)), each=True)
_OF_LOGITS = "item=... is where the logits are. The fused map replaces them, with one channel."

PRESETS = (
    Preset(
        "msp", "Maximum softmax probability", _OOD, "model(x)",
        AnomalyScore(one_minus_max_probability, bounded=True), images=IMAGENET,
        resolution="logits'", note=_OF_LOGITS, tested="run with random weights",
    ),
    Preset(
        "max_logit", "Max logit", _OOD, "model(x)", AnomalyScore(negative_max_logit),
        images=IMAGENET, resolution="logits'", note=_OF_LOGITS, tested="run with random weights",
    ),
    Preset(
        "entropy", "Entropy", _OOD, "model(x)", AnomalyScore(entropy, bounded=True),
        images=IMAGENET, resolution="logits'", note=_OF_LOGITS, tested="run with random weights",
    ),
    Preset(
        "energy", "Energy", _OOD, "model(x)", AnomalyScore(energy),
        images=IMAGENET, resolution="logits'", note=_OF_LOGITS, tested="run with random weights",
    ),
    Preset(
        "standardized_max_logit", "SML, from any logits", _OOD, "model(x)",
        AnomalyScore(standardized_max_logit), images=IMAGENET, resolution="logits'",
        note="statistics=ClassStatistics.load(mean_file, variance_file). " + _OF_LOGITS,
    ),
    Preset(
        "sml", "SML", _OOD, "net(x)", RawScore(direction="down"), Items(((1,),)), IMAGENET,
        note="The network standardizes and smooths the score. The fused map is written negated, as the "
        "method's own evaluation expects.",
    ),
    Preset(
        "obsnet", "ObsNet", _OOD, "ObserverPair(segnet, obsnet)(x)", Sigmoid(), images=IMAGENET,
        note="mean=..., std=... for the CamVid and BDD models. One sigmoid, where inference.py applies two.",
    ),
    Preset(
        "image_resynthesis", "Image Resynthesis", _OOD, "comparator(image, gen_image, labels)",
        Softmax(channel=1), images=IMAGENET,
    ),
    Preset(
        "image_resynthesis_saved", "Image Resynthesis, saved maps", _OOD,
        'SavedScores(folder, key="discrepancy")(images, names=[...])', NonNegative(), tested="saved files",
    ),
    Preset(
        "dacup", "DaCUP", _OOD, "ReconAnom(...).evaluate(image)", NonNegative(), max_batch=1,
        note='With return_full=True: item="anomaly_score". Meaningful on the road only.',
    ),
    Preset(
        "nflowjs", "NFlowJS, saved maps", _OOD, "SavedScores(folder)(images, names=[...])", RawScore(),
        tested="saved files", note="The code is not public: sign and range are those of its files.",
    ),
    Preset(
        "densehybrid", "DenseHybrid", _OOD, "model(x, (H, W))", DenseHybrid(), Items(((0,), (1,))),
        note="The fused map replaces logits_ood; the class logits do not change.",
    ),
    Preset(
        "pebal", "PEBAL", _OOD, "net(x, output_anomaly=True)", RawScore(), images=IMAGENET, max_batch=1,
        note="The network itself computes the energy of 19 of 20 channels, smoothed. Wrong for a batch of 2.",
    ),
    Preset(
        "rpl", "RPL", _OOD, "net(x)", AnomalyScore(energy, classes=19, smooth=True), Items(((1,),)), IMAGENET,
        note="Of the residual branch; the class logits, the first item, do not change.",
    ),
    Preset(
        "rba", "RbA", _OOD, 'model([{"image": x}])',
        AnomalyScore(one_minus_tanh, bounded=True, name="query sum"), _SEM_SEG, BYTES, max_batch=1,
    ),
    Preset(
        "mask2anomaly", "Mask2Anomaly", _OOD, "demo.run_on_image(bgr)[0]",
        AnomalyScore(refined_one_minus_max, bounded=True, name="query sum"), _SEM_SEG, BGR_BYTES, max_batch=1,
        note="Published with the mean over the image and its mirror image: FlipAverage.",
    ),
    Preset("eam", "EAM", _OOD, 'model([{"image": x}])', QueryRejection(), _MASKS, BYTES, "masks'"),
    Preset("uno", "UNO", _OOD, 'model([{"image": x}])', QueryObjectness(), _MASKS, BYTES, "masks'"),
    Preset(
        "pixood", "PixOOD", _OOD, "PixOOD(...).evaluate(image)", NonNegative(), max_batch=1,
        note="eval_labels sets the known classes, by default road and sidewalk.",
    ),
)  # fmt: skip
