"""The networks inside the package, and what their weights have to be."""

from __future__ import annotations

from pathlib import Path

from csl_plugin.errors import FileError

BUNDLED = {
    "csl-tiny": "72e3e023d7f437807400de4f7ea2240c358dd78c07aaeadc788ff2eb03102dfa",
    "csl-tiny-strict": "572ab7b4fb9c7acb9f4b6f509a9d319d03ffbf371f1af10648c3d0638661967c",
    "csl-tiny-open": "074ec2ff0c9c7aff1415c23b0a0a98e32280b6bd55150141e6384031d176bde2",
}
"""The SHA-256 of each network's `model.safetensors`."""

DIGESTS = {
    "csl-tiny": "compact f8447bb63323",
    "csl-tiny-strict": "compact 2a26b7345a62",
    "csl-tiny-open": "compact 38b08d03175c",
}
"""Backbone and digest of each network's weights, as the settings of a job record them."""

_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def bundled_folder(name: str) -> Path:
    """The folder of a network, whose weights are the published ones.

    Raises:
        FileError: The weights are missing or were changed.

    Example:
        >>> bundled_folder("csl-tiny").name
        'csl-tiny'
    """
    from csl_plugin.io.limits import check_file
    from csl_plugin.models.hub.digests import digest_of

    folder = _WEIGHTS / name
    path = folder / "model.safetensors"
    check_file(path)
    found = digest_of(path, "sha256").value
    if found != BUNDLED[name]:
        hint = "Install csl-plugin again; for a network of your own pass its folder."
        raise FileError(str(path), f"sha256 {found}", f"sha256 {BUNDLED[name]}", hint)
    return folder
