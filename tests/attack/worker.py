"""The process that is attacked: rounds come line by line, findings go back.

It imports the package once. A round that kills it, or hangs, costs the process and not the gallery.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from tests.attack import commands, endurance, files, fusing, pickles
from tests.attack.mutation import Rng

ATTACKS: Mapping[str, Callable[[Rng, Path], str | None]] = {
    "damaged files": files.attack,
    "random fusion": fusing.attack,
    "kills": commands.kill,
    "full disk": commands.full_disk,
    "threads": endurance.threads,
    "memory": endurance.memory,
    "pickles": pickles.attack,
}


def main(folder: Path) -> None:
    """Answer every line on stdin, a JSON list of an attack's name, a seed and a number, on stdout."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what decoders print is no answer
    for line in sys.stdin:
        name, seed, number = json.loads(line)
        rng = np.random.default_rng([seed, number, zlib.crc32(name.encode())])
        inside = folder / name.replace(" ", "-")
        inside.mkdir(parents=True, exist_ok=True)
        try:
            found = ATTACKS[name](rng, inside)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
