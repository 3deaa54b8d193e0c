"""Structure-constrained fusion around an unchanged model: scheme 2 of the paper as one module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from csl_plugin._tracing import outside_graph, refuse_jit, refuse_symbols
from csl_plugin.adapters import PRESETS, Adapter, ImageBatch, preset, recognize
from csl_plugin.adapters.adapter import batch_of, is_per_image
from csl_plugin.adapters.model_input import published_input
from csl_plugin.adapters.recognition import preprocessing_hint
from csl_plugin.arrays import describe, shown
from csl_plugin.errors import CSLError, DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.fusion import Rule
from csl_plugin.fusion.rules import read_rule
from csl_plugin.proposers import Proposer
from csl_plugin.proposers.held import WithProposer
from csl_plugin.proposers.load import as_proposer
from csl_plugin.proposers.names import BUILT_IN
from csl_plugin.wrapper.call import named_masks
from csl_plugin.wrapper.host import ForwardOfModel, attribute_of
from csl_plugin.wrapper.stage import FusionStage, as_one_tensor

__all__ = ["CSLWrapper"]


class CSLWrapper(WithProposer):
    """A segmentation model followed by structure-constrained fusion: same call, same type of output.

    The model does not change: no hook is added, and its weights, state_dict and training flag stay. Its
    distribution D is read from the output, fused with the regions of the input image (`fuse`), and written
    back in place of the model's scores, at their resolution. The output then holds the fused distribution,
    also where the model returns logits: take its arg max, without a softmax before.

    The proposer is no part of the module, whatever it is: parameters, state_dict, dtype, device and training
    flag are the model's. Networks that `load_proposer` loads compute on the images' device.

    In a batch the result of an image does not depend on its neighbors: the proposer sees each image without
    the padding that `pixel_mask` and the like declare, and images of several sizes may come in a list where
    the output is a list too. docs/guide/wrapper.md has the forms, and what works in torch.compile,
    torch.export, torch.func, and in transformers' pipeline and Trainer.

    Args:
        model: The model, an `nn.Module` or any callable.
        proposer: A callable from RGB images (B, 3, H, W) in [0, 1] to `RegionProposals`, a `RegionMap` or a
            tuple of them; or the name of one, as for `load_proposer`; None for its default.
        adapter: How to read and write the output: the name of a preset (`csl_plugin.adapters.PRESETS`), an
            `OutputAdapter`, or any object with the `Adapter` protocol. None or "auto" recognizes outputs
            whose names say what they hold (`csl_plugin.adapters.recognize`); any other must be declared.
            Images are then taken to be normalized as the model is published, where its class says so: models
            of transformers and torchvision that have a preset. Any other is taken to take RGB in [0, 1].
        rule: As for `fuse`.
        split: As for `fuse`.
        check: As for `fuse`.

    Raises:
        DTypeError: `model` or `proposer` is not callable, or `adapter` lacks a method of the protocol.
        OptionError: An unknown preset or rule, or a `split` or `check` that is neither True nor False. When
            called: within torch.jit or torch.fx.symbolic_trace.
        FileError: There is no proposer of that name, or the file of the model's processor is damaged.
        ScoreRangeError: When called: the images leave [0, 1] once the normalization is undone.
        OutputError: When called: the output is not recognized, or no argument holds images.
        DeviceError: When called: the proposer is a module of yours on another device than the scores.
        ShapeError: When called: more images than the model takes in one call.

    Example:
        >>> import torch
        >>> from csl_plugin import CSLWrapper
        >>> from csl_plugin.adapters import OutputAdapter
        >>> model = torch.nn.Conv2d(3, 5, 3, padding=1)
        >>> segment = CSLWrapper(model, adapter=OutputAdapter("logits"))
        >>> segment(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 5, 24, 32])
        >>> segment.eject() is model
        True
        >>> CSLWrapper(model, "superpixels", adapter="logits").proposer
        Superpixels(scale=150)

    Source:
        Paper, "Proposed Method", scheme 2.
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        proposer: Proposer | str | None = None,
        adapter: Adapter | str | None = None,
        *,
        rule: Rule = "adaptive",
        split: bool = True,
        check: bool = True,
    ) -> None:
        super().__init__()
        if not callable(model) or isinstance(model, type):
            got = f"the class {model.__name__}" if isinstance(model, type) else describe(model)
            raise DTypeError("model", got, "a model, or another callable", "Pass the loaded model itself.")
        if isinstance(proposer, str) and adapter is None and proposer in PRESETS:
            hint = f"Name it: CSLWrapper(model, adapter={proposer!r})."
            raise OptionError("proposer", f"{proposer!r}, a preset of adapters", "a proposer", hint)
        if isinstance(adapter, str):
            adapter = None if adapter == "auto" else _preset(adapter)
        methods = ("images", "read", "write")
        if isinstance(adapter, type) or not (adapter is None or all(hasattr(adapter, m) for m in methods)):
            raise DTypeError(
                "adapter",
                describe(adapter),
                "an object with images, read and write",
                "Use csl_plugin.adapters.OutputAdapter, or the name of a preset.",
            )
        for argument, flag in (("split", split), ("check", check)):
            if not isinstance(flag, (bool, np.bool_)):
                raise OptionError(argument, shown(flag), "True or False", "Name the options of fuse.")
        read_rule(rule)
        self.model = model
        self.proposer = as_proposer(proposer)
        self.adapter = adapter
        self._published = published_input(model) if adapter is None else None
        self.rule: Rule = rule
        self.split = split
        self.check = check
        self.training = getattr(model, "training", False)

    @ForwardOfModel
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's output for these arguments, with the fused distribution in it."""
        refuse_jit("model input")
        refuse_symbols("model input", args, kwargs)
        adapter = self.adapter
        batch = None if adapter is None else outside_graph(self._batch, adapter, args, kwargs)
        output = self.model(*args, **kwargs)
        return outside_graph(self._fused, output, adapter, batch, args, kwargs)

    def _fused(
        self,
        output: Any,
        adapter: Adapter | None,
        batch: ImageBatch | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if adapter is None or batch is None:
            adapter = recognize(output, self._published)
            try:
                batch = self._batch(adapter, args, kwargs)
            except ScoreRangeError as error:
                if self._published is not None:
                    raise
                hint = preprocessing_hint(self.model, output)
                raise ScoreRangeError(error.argument, error.got, error.expected, hint) from None
        return FusionStage(self.proposer, self.rule, self.split, self.check)(adapter, output, batch)

    def _batch(self, adapter: Adapter, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ImageBatch:
        batch = batch_of(adapter, args, {**named_masks(self.model, args), **kwargs})
        most = getattr(adapter, "max_batch", None)
        if most is not None and len(batch) > most:
            raise ShapeError(
                "model input",
                f"{len(batch)} images",
                f"at most {most}: the model is wrong for larger batches",
                "Call it once for each image.",
            )
        if not is_per_image(adapter):
            as_one_tensor(batch)
        return batch

    def extra_repr(self) -> str:
        """The proposer, the rule, the adapter, and the flags that are not the default."""
        made_by = getattr(self.adapter, "made_by", None)  # a preset's name, where that says all
        adapter = "'auto'" if self.adapter is None else repr(made_by) if made_by else shown(self.adapter)
        parts = [f"{super().extra_repr()}, adapter={adapter}"]
        if not isinstance(self.model, nn.Module):
            parts.insert(0, f"model={shown(self.model)}")
        parts += [f"{name}=False" for name in ("split", "check") if not getattr(self, name)]
        return ", ".join(parts)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            model = self.__dict__.get("model", self.__dict__.get("_modules", {}).get("model"))
            return attribute_of(model, name, type(self).__name__)

    def __prepare_scriptable__(self) -> Any:
        raise OptionError(
            "model",
            "a CSLWrapper in torch.jit.script",
            "the model by itself",
            "Script the model, and wrap what torch.jit.script returns.",
        )

    def eject(self) -> nn.Module | Callable[..., Any]:
        """The model, unchanged."""
        return self.model


def _preset(name: str) -> Adapter:
    """The preset of a name, with errors that name the argument of this call."""
    try:
        return preset(name)
    except CSLError as error:
        if error.argument != "name":
            raise
        expected, hint = error.expected, error.hint
        if name.partition(":")[0] in BUILT_IN:
            expected, hint = "a preset", f"It is a proposer: CSLWrapper(model, {name!r}, adapter=...)."
        raise type(error)("adapter", error.got, expected, hint) from error
