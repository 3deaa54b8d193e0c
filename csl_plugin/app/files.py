"""The results as links in the page: fused map, objects, pictures."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from csl_plugin.app.session import Result
from csl_plugin.io import write_png, write_scores
from csl_plugin.objects import objects_picture
from csl_plugin.objects.formats import write_coco
from csl_plugin.viz import fusion_picture

_TYPES = {".npy": "application/octet-stream", ".json": "application/json", ".png": "image/png"}
_WORDS = {
    "fused.npy": "fused score, float32",
    "objects.json": "objects, COCO results",
    "objects-images.json": "the image of these results, COCO",
    "panels.png": "image, regions, score and fused score",
    "objects.png": "objects with their scores",
}


def result_files(result: Result) -> dict[str, bytes]:
    """The contents of the files of a result, by their names."""
    image = result.photograph.image
    labels = result.partitions[1].labels[0].cpu().numpy()
    with TemporaryDirectory(prefix="csl-plugin-") as name:
        folder = Path(name)
        write_scores(folder / "fused.npy", result.fused)
        write_coco(folder / "objects.json", {result.photograph.name: result.objects})
        write_png(folder / "panels.png", fusion_picture(image, labels, result.score, result.fused))
        write_png(folder / "objects.png", objects_picture(image, result.objects, result.threshold))
        return {file: (folder / file).read_bytes() for file in _WORDS}


def file_links(result: Result) -> str:
    """HTML with the files in it: the server keeps none."""
    links = "".join(
        f'<li><a download="{name}" href="data:{_TYPES[Path(name).suffix]};base64,{b64encode(data).decode()}">'
        f"{name}</a> <span>{escape(_WORDS[name])}, {_in_words(len(data))}</span></li>"
        for name, data in result_files(result).items()
    )
    return f'<ul class="csl-files">{links}</ul>'


def _in_words(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
