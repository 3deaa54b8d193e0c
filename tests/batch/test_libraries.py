"""The libraries that call a Fuser, each as its own documentation says, on rows of several sizes."""

import shutil
import sys

import numpy as np
import pytest

from csl_plugin import fuse, load_proposer
from csl_plugin.batch import Fuser
from csl_plugin.io import image_batch

SEGMENTS = "superpixels:20"
SIZES = (24, 32), (20, 44), (24, 32)
ABSENT = "a large package that is no part of the extra `test`"


@pytest.fixture(scope="module")
def rows():
    """Images and scores."""
    draw = np.random.default_rng(0)
    return [
        (draw.integers(0, 256, (*size, 3)).astype(np.uint8), draw.random(size).astype(np.float32))
        for size in SIZES
    ]


@pytest.fixture(scope="module")
def wanted(rows):
    return [fuse(scores, load_proposer(SEGMENTS)(image_batch(image))) for image, scores in rows]


def check(found, wanted, rtol=0.0):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.array(one, np.float32), other, rtol=rtol, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_datasets_map(rows, wanted):
    datasets = pytest.importorskip("datasets", reason=ABSENT)
    from PIL import Image

    made = datasets.Dataset.from_dict(
        {"image": [Image.fromarray(image) for image, _ in rows], "scores": [scores for _, scores in rows]}
    )
    fuser = Fuser(proposer=SEGMENTS)
    check(made.with_format("numpy").map(fuser, batched=True, batch_size=2)["fused"], wanted)
    plain = made.map(fuser, batched=True, batch_size=3)
    check(plain["fused"], wanted, rtol=1e-6)  # lists of Python's numbers, which are float64
    assert plain.features["image"] == made.features["image"]


@pytest.mark.slow
def test_a_daft_function_of_columns(rows, wanted):
    daft = pytest.importorskip("daft", reason=ABSENT)
    fuser = Fuser(proposer=SEGMENTS)

    @daft.func.batch(return_dtype=daft.DataType.tensor(daft.DataType.float32()))
    def fused(image, scores):
        return list(fuser({"image": image.to_pylist(), "scores": scores.to_pylist()})["fused"])

    frame = daft.from_pydict(
        {"image": [image for image, _ in rows], "scores": [scores for _, scores in rows]}
    )
    check(frame.with_column("fused", fused(frame["image"], frame["scores"])).to_pydict()["fused"], wanted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_spark_map_in_pandas(rows, wanted, monkeypatch):
    sql = pytest.importorskip("pyspark.sql", reason=ABSENT)
    pandas = pytest.importorskip("pandas", reason=ABSENT)
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    fuser = Fuser(proposer=SEGMENTS)

    def fused(frames):
        for frame in frames:
            found = fuser({name: frame[name].to_numpy() for name in frame})
            yield pandas.DataFrame({"id": found["id"], "fused": [list(each) for each in found["fused"]]})

    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        values = [(index, image.tolist(), scores.tolist()) for index, (image, scores) in enumerate(rows)]
        schema = "id int, image array<array<array<int>>>, scores array<array<float>>"
        frame = spark.createDataFrame(values, schema)
        found = frame.mapInPandas(fused, "id int, fused array<array<float>>").collect()
    finally:
        spark.stop()
    check([row.fused for row in sorted(found, key=lambda row: row.id)], wanted)
