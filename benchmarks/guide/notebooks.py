"""The notebooks of docs/notebooks, executed in place, their pictures compressed.

python -m benchmarks.guide.notebooks                   # all
python -m benchmarks.guide.notebooks docs/notebooks/1-first-steps.ipynb
"""

from __future__ import annotations

import argparse
import base64
import re
import tempfile
from pathlib import Path
from typing import Any

import cv2
import nbformat
import numpy as np
from nbclient import NotebookClient
from nbformat import NotebookNode

from csl_plugin.io import atomic_path

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
_QUALITY = 82
_SECONDS = 300  # of one cell


def execute(path: Path) -> NotebookNode:
    """Run a notebook from its first cell to its last in an empty folder, and keep what it shows.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=_SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


def complaints(notebook: NotebookNode) -> list[str]:
    """What its cells wrote to stderr: warnings, and what else a reader would wonder about."""
    return [
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def compress(notebook: NotebookNode) -> None:
    """Store the pictures as JPEG, also those inside of HTML."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data: Any = output.get("data", {})
            if "image/png" in data:
                data["image/jpeg"] = _as_jpeg(data.pop("image/png"))
                output.metadata.pop("image/png", None)
            if "text/html" in data:
                data["text/html"] = re.sub(
                    r"data:image/png;base64,([A-Za-z0-9+/=]+)",
                    lambda found: "data:image/jpeg;base64," + _as_jpeg(found[1]),
                    data["text/html"],
                )


def _as_jpeg(png: str) -> str:
    pixels: Any = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return base64.b64encode(encoded.tobytes()).decode()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path, help="the default is all")
    for path in parser.parse_args().notebooks or sorted(FOLDER.glob("*.ipynb")):
        notebook = execute(path)
        compress(notebook)
        text = nbformat.writes(notebook)
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n" * (not text.endswith("\n")), encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1000:.0f} KB")
        for complaint in complaints(notebook):
            print(f"  stderr: {complaint}")


if __name__ == "__main__":
    main()
