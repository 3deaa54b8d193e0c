"""A proposer as the settings of a job record it: a name, its parameters, and a digest of its weights."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from csl_plugin.proposers.bundled import DIGESTS
from csl_plugin.proposers.combine import Scales, Together

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DEEPEST = 12
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    Path,
    torch.device,
    torch.dtype,
    np.dtype,
    np.generic,
)


def identity_of(source: Any) -> str:
    """What decides the results of a proposer or another callable, as text; equal in every process.

    Those of this package are named as `load_proposer` takes them, with all of their parameters; digests of
    the network's weights and configuration follow. Of another one it is the text of its method `identity()`,
    if it has one. Else it is its qualified name, its own `__repr__` if that holds no address, and the sha256
    of what it is made of: the file of its module, and the weights, tensors, arrays and plain values in its
    attributes, at any depth. Of a function it is also what its closure holds, and the networks and arrays
    among the globals that it names; what it loads later is not seen.

    Args:
        source: A callable.

    Example:
        >>> from csl_plugin.proposers import Superpixels
        >>> identity_of(Superpixels(scale=40))
        'superpixels:40'
        >>> class Mine:
        ...     def identity(self):
        ...         return "mine, version 3"
        >>> identity_of(Mine())
        'mine, version 3'
    """
    if isinstance(source, Together):
        return " + ".join(map(identity_of, source.proposers))
    own = getattr(source, "identity", None)
    if callable(own) and not isinstance(source, type):
        return str(own())
    kind = type(source)
    shows_itself: Any = kind.__repr__
    named = shows_itself not in (object.__repr__, torch.nn.Module.__repr__)
    if kind.__module__.partition(".")[0] == "csl_plugin" and named:
        return _of_own(source)
    digest = hashlib.sha256()
    for part in _parts(source, {}, 0):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    shown = repr(source) if named and not isinstance(source, _FUNCTIONS) else ""
    if _ADDRESS.search(shown) or "\n" in shown:
        shown = ""
    return f"{_qualified(source)} {shown} {digest.hexdigest()[:16]}".replace("  ", " ")


def _of_own(source: Any) -> str:
    """A proposer of this package as it is typed, with what its name does not say."""
    from csl_plugin.proposers.csl_network import NetworkProposals, network_digest
    from csl_plugin.proposers.hierarchy.scales import HierarchicalRegions, scale_name

    several = isinstance(source, Scales)
    proposer = source.proposer if several else source
    if not isinstance(proposer, (HierarchicalRegions, NetworkProposals)):
        made_of = getattr(proposer, "made_of", proposer.__repr__)  # of a model of transformers
        return f"{made_of()}{_configuration(proposer)}"
    scales = ""
    if isinstance(proposer, HierarchicalRegions):
        scales = ":" + ",".join(map(scale_name, source.scales if several else (proposer.scale,)))
    network = getattr(proposer, "network", None)
    if network is None:
        return f"superpixels{scales}"
    weights = network_digest(network)
    name = next((name for name, known in DIGESTS.items() if known == weights), "network")
    return f"{name}{scales} of weights {weights}{_configuration(proposer)}"


def _configuration(source: Any) -> str:
    """Heads and the like leave no trace in the weights."""
    config: Any = getattr(getattr(source, "network", getattr(source, "model", None)), "config", None)
    if config is None:
        return ""
    values = config.to_json() if hasattr(config, "to_json") else config.to_dict()
    kept = {name: value for name, value in values.items() if name not in _NOT_OF_RESULTS and name[0] != "_"}
    text = json.dumps(kept, sort_keys=True, default=str)
    return f", configuration {hashlib.sha256(text.encode()).hexdigest()[:8]}"


_NOT_OF_RESULTS = ("architectures", "transformers_version")

_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial, type)


def _qualified(source: Any) -> str:
    if isinstance(source, functools.partial):
        return _qualified(source.func)
    named = source if hasattr(source, "__qualname__") else type(source)
    return f"{getattr(named, '__module__', '')}.{named.__qualname__}"


def _parts(value: Any, seen: dict[int, tuple[int, Any]], depth: int) -> Iterator[bytes]:
    """Bytes that decide what a value does, in a fixed order."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}".encode(errors="surrogatepass")
        return
    if isinstance(value, torch.Tensor):
        yield from _tensor(value)
        return
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype} {value.shape}".encode()
        if not value.dtype.hasobject:
            yield np.ascontiguousarray(value).tobytes()
        return
    if id(value) in seen or depth > _DEEPEST:
        yield f"again {seen[id(value)][0] if id(value) in seen else 'deeper'}".encode()
        return
    seen[id(value)] = len(seen), value  # held, so that no other value gets its id
    inner = functools.partial(_parts, seen=seen, depth=depth + 1)
    if isinstance(value, Mapping):
        yield b"mapping"
        for name in sorted(value, key=repr):
            yield from inner(name)
            yield from inner(value[name])
    elif isinstance(value, (list, tuple)):
        yield f"{type(value).__name__} {len(value)}".encode()
        for each in value:
            yield from inner(each)
    elif isinstance(value, (set, frozenset)):
        yield f"set {sorted(map(repr, value))}".encode(errors="surrogatepass")
    elif isinstance(value, torch.nn.Module):
        yield _qualified(value).encode()
        yield _module_file(type(value))
        for name, tensor in sorted(value.state_dict().items()):
            yield name.encode()
            yield from inner(tensor)
        for name, module in value.named_modules():
            yield name.encode()
            yield from inner({key: held for key, held in vars(module).items() if key not in _INTERNALS})
    elif isinstance(value, functools.partial):
        yield from inner([value.func, value.args, value.keywords])
    elif isinstance(value, types.MethodType):
        yield _qualified(value).encode()
        yield from inner(value.__self__)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, inner)
    elif isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        yield str(getattr(value, "__qualname__", getattr(value, "__name__", ""))).encode()
    else:
        yield _qualified(value).encode()
        yield _module_file(type(value))
        yield from inner(_attributes(value))


_INTERNALS = set(vars(torch.nn.Module()))
"""What every nn.Module holds: its weights are digested by name, and `training` is among them."""


def _tensor(tensor: torch.Tensor) -> Iterator[bytes]:
    yield f"tensor {tensor.dtype} {tuple(tensor.shape)}".encode()
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        return
    whole = tensor.detach().cpu().contiguous().reshape(-1)
    yield whole.view(torch.uint8).numpy().tobytes() if whole.numel() else b""


def _function(function: types.FunctionType, inner: Any) -> Iterator[bytes]:
    """A function's name, the file of its module or else its code, and the weights it takes from outside."""
    yield _qualified(function).encode()
    yield _module_file(function) or function.__code__.co_code
    yield from inner([function.__defaults__, function.__kwdefaults__])
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty
            yield from inner(cell.cell_contents)
    for name in sorted(_names(function.__code__)):
        for weights in _weights(function.__globals__.get(name)):
            yield name.encode()
            yield from inner(weights)


def _names(code: types.CodeType) -> set[str]:
    nested = (_names(each) for each in code.co_consts if isinstance(each, types.CodeType))
    return {*code.co_names}.union(*nested)


def _weights(value: Any) -> list[Any]:
    """The networks and arrays that a global is or holds; other globals may change at any time."""
    kept = (torch.nn.Module, torch.Tensor, np.ndarray)
    if isinstance(value, kept):
        return [value]
    held = getattr(value, "__dict__", {}) if not isinstance(value, (type, types.ModuleType)) else {}
    return [each for _, each in sorted(held.items(), key=lambda item: str(item[0])) if isinstance(each, kept)]


def _attributes(value: Any) -> dict[str, Any]:
    found = dict(getattr(value, "__dict__", {}))
    if type(value).__module__.startswith("csl_plugin."):
        found.pop("loaded_as", None)  # by which name it came decides nothing
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _module_file(made: Any) -> bytes:
    """The sha256 of the file that defines a class or a function, of packages outside torch and this one."""
    module = inspect.getmodule(made)
    name = getattr(module, "__file__", None)
    if (
        module is None
        or name is None
        or module.__name__.partition(".")[0] in ("torch", "numpy", "csl_plugin")
    ):
        return b""
    try:
        return hashlib.sha256(Path(name).read_bytes()).digest()
    except OSError:
        return b""
