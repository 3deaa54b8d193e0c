"""`csl-plugin export`: the stage, a network or the fusion as an ONNX file."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.arguments import name, path
from csl_plugin.cli.fused.rule_option import DEFAULT_RULE, add_rule_option
from csl_plugin.cli.streams import say
from csl_plugin.errors import OptionError

if TYPE_CHECKING:
    from csl_plugin.export import Graph

FUSION = "fuse"


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "export",
        help="write the stage, a network or the fusion as an ONNX file",
        description="Write OUT.onnx, for onnxruntime and other runtimes without Python. Of a proposer it is "
        "the whole stage, image and scores to fused map; with --network its network alone; of `fuse` the "
        "fusion, scores and labels to fused map. The file is run on random inputs and kept only if it gives "
        "what this package gives. Needs the extra `onnx`. An earlier export at OUT.onnx is replaced, another "
        "file is not.",
        examples=[
            "csl-plugin export fuse fuse.onnx",
            "csl-plugin export csl-tiny:auto,5 stage.onnx --size 480x640",
        ],
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        type=name,
        help="`fuse`, or a proposer: csl-tiny:auto,5 is the default stage; another network with boundaries "
        "or superpixels, with :SCALE,SCALE and + between them",
    )
    parser.add_argument("file", metavar="OUT.onnx", type=path, help="the file to write")
    parser.add_argument(
        "--network", action="store_true", help="the network alone: image to R, V and boundaries"
    )
    add_rule_option(parser)
    parser.add_argument(
        "--classes", metavar="C", type=int, default=1, help="channels of the scores (default: 1)"
    )
    parser.add_argument(
        "--size",
        metavar="HxW",
        type=_size,
        help="a fixed size of the images, such as 1024x2048 (default: any, with a network up to 1024x1024)",
    )
    parser.add_argument(
        "--inputs", metavar="N", type=int, default=5, help="random inputs to compare (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Raises:
        CSLError: An unknown name, a missing package, or OUT.onnx is a file of another kind.
    """
    from csl_plugin.cli.result_file import check_replaceable
    from csl_plugin.export import to_onnx
    from csl_plugin.export.onnx_file import check_exported, require_packages

    require_packages()
    check_replaceable(arguments.file, check_exported, "an exported graph")
    graph = _graph(arguments)
    found = to_onnx(
        graph,
        arguments.file,
        size=arguments.size,
        inputs=arguments.inputs,
        progress=lambda step: say(f"export: {step}"),
    )
    size = None if arguments.size is None else list(arguments.size)
    facts = {
        "command": "export",
        "file": str(arguments.file),
        "name": arguments.name,
        "inputs": list(graph.input_names),
        "outputs": list(graph.output_names),
        "size": size,
        "bytes": arguments.file.stat().st_size,
        "compared": arguments.inputs,
        "largest_difference": found,
    }
    sizes = "any size" if size is None else f"{size[0]} x {size[1]}"
    lines = [
        f"{arguments.file}: {', '.join(graph.input_names)} to {', '.join(graph.output_names)}, for {sizes}",
        f"  in onnxruntime: at most {found:.2g} from csl_plugin on {arguments.inputs} random inputs",
    ]
    return Answer(SUCCESS, facts, lines)


def _graph(arguments: argparse.Namespace) -> Graph:
    from csl_plugin import load_proposer
    from csl_plugin.export import FusionGraph, NetworkGraph, StageGraph

    if arguments.name == FUSION:
        if arguments.network:
            raise OptionError("--network", FUSION, "a network, such as csl-tiny", "Omit --network.")
        return FusionGraph(arguments.rule, arguments.classes)
    if arguments.network and (arguments.rule != DEFAULT_RULE or arguments.classes != 1):
        hint = "Omit them: a network fuses nothing."
        raise OptionError("--network", "it with --rule or --classes", "one of the two", hint)
    proposer = load_proposer(arguments.name)
    if not arguments.network:
        try:
            return StageGraph(proposer, arguments.rule, arguments.classes)
        except OptionError as error:
            if error.argument != "proposer":
                raise
            got = f"{arguments.name}, regions that no graph can compute"
            raise OptionError("NAME", got, error.expected, error.hint) from error
    network = getattr(getattr(proposer, "proposer", proposer), "network", None)
    if network is None:
        raise OptionError(
            "--network", f"{arguments.name}, which has none", "a CSL network", "Omit --network."
        )
    return NetworkGraph(network)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"got {text!a}, expected height and width as HxW, such as 480x640")
    return int(found[1]), int(found[2])
