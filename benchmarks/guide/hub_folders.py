"""The bundled networks as folders to push to the Hub: what the package ships, and a picture of the regions.

    python -m benchmarks.guide.hub_folders --out build/hub
    hf upload csl-plugin/csl-tiny build/hub/csl-tiny .    # and so on, once a name

The pictures are not in the wheel. The photograph is scikit-image's, by Rachel Michetti, CC0.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from csl_plugin import RegionMap, load_proposer
from csl_plugin.io import image_batch, write_png
from csl_plugin.proposers.bundled import BUNDLED, bundled_folder
from csl_plugin.viz.colors import Picture, draw_edges, region_colors
from csl_plugin.viz.sheet import Panel, sheet


def make_folders(out: Path) -> list[Path]:
    """Write OUT/NAME for every network, each ready to push.

    Args:
        out: Made where it is missing; its folders of these names must not be there.

    Raises:
        FileExistsError: One of the folders is there.
    """
    photograph = _photograph()
    folders = []
    for name in BUNDLED:
        folder = out / name
        shutil.copytree(bundled_folder(name), folder)
        cv2.imwrite(str(folder / "photograph.jpg"), photograph[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        write_png(folder / "regions.png", regions_picture(name, photograph))
        folders.append(folder)
    return folders


def regions_picture(name: str, photograph: Picture) -> Picture:
    """The photograph, the regions by eq. 2 and the regions of the fine scale."""
    coarse, fine = _regions(f"{name}:auto,5", photograph)
    panels = [
        Panel(photograph, "Photograph", "Rachel Michetti, CC0"),
        _partition(photograph, coarse, f"{name}:auto"),
        _partition(photograph, fine, f"{name}:5"),
    ]
    # The three lowest bits cannot be seen and are a third of the file.
    drawn: Picture = sheet([panels]) | np.uint8(7)
    return drawn


def _photograph() -> Picture:
    import skimage.data

    image: Picture = skimage.data.coffee()  # type: ignore[no-untyped-call]
    return image


def _regions(source: str, photograph: Picture) -> tuple[RegionMap, ...]:
    several: Any = load_proposer(source)(image_batch(photograph))
    return tuple(several)


def _partition(photograph: Picture, regions: RegionMap, title: str) -> Panel:
    ids = regions.labels[0].numpy()
    picture = draw_edges(region_colors(photograph, ids), ids)
    return Panel(picture, title, f"{np.unique(ids).size} regions")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        folders = make_folders(options.out)
    except FileExistsError as error:
        parser.error(f"{error.filename} is there; remove it first")
    for folder in folders:
        print(folder)


if __name__ == "__main__":
    main()
