"""What the peers share: their networks, made-up inputs, and the protocol by which bench/run drives them.

Protocol: when ready, one line of JSON with "name", "version" and "first_s" (seconds of the first call, compilation
included). Each line "run" on stdin is answered by {"seconds": ...} of one timed call; anything else, or the end of stdin,
by {"peak_kib": ...}, and the process ends. Must hold: the networks are those of tests/oracle/networks.py.
"""
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "oracle"))
from networks import NB201, BatchNorm, DARTS_8, Network, Supernet  # noqa: E402

OPERATORS = {"skip": ["skip_connect"], "darts_8": DARTS_8}


def add_options(parser):
    """The size of a network and of its images, as the space file says."""
    parser.add_argument("--net", choices=["darts", "nb201"], default="darts")
    parser.add_argument("--k", type=int, default=1, help="partial channels: one in K")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--keep", type=int, default=2, help="edges of a node of a found network")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--in-channels", type=int, default=3)
    parser.add_argument("--ops", default="skip", help="skip, darts_8, or operators with commas between")
    parser.add_argument("--aux", action="store_true", help="a found network's auxiliary head")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall", help="what seconds are of")
    parser.add_argument("--warm", type=int, default=2, help="calls before the timed ones")


def supernet(options):
    ops = OPERATORS.get(options.ops) or options.ops.split(",")
    return Supernet(options.layers, options.channels, options.nodes, options.in_channels, 10, options.k, ops)


def found(options):
    """All sep_conv_3x3 (or all nor_conv_3x3). A node keeps the first `keep` states before it, or as many as there are; one
    alone is taken from the two inputs in turn, so that both are used. bench/spaces/found.sh writes the same cells."""
    if options.net == "nb201":
        return NB201(["nor_conv_3x3"] * 6, cells=options.layers, channels=options.channels,
                     in_channels=options.in_channels)
    sources = [[node % 2] if options.keep == 1 else list(range(min(options.keep, 2 + node)))
               for node in range(options.nodes)]
    cell = ([("sep_conv_3x3", source) for node in sources for source in node],
            list(range(2, 2 + options.nodes)), [len(node) for node in sources])
    return Network(cell, cell, options.layers, options.channels, options.in_channels,
                   auxiliary=(128, 768) if options.aux else None)


def freeze_statistics(net, torch):
    """Inference: batch norms with running statistics."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.running = (torch.zeros(module.num_features), torch.ones(module.num_features))
    return net.eval()


def serve(about, call, options):
    """Runs `call` until told to stop; see the top of the file."""
    clock = time.perf_counter if options.clock == "wall" else time.process_time

    def timed():
        begin = clock()
        call()
        return clock() - begin
    about["first_s"] = timed()
    for _ in range(options.warm - 1):
        timed()
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        if line.strip() != "run":
            break
        print(json.dumps({"seconds": timed()}), flush=True)
    print(json.dumps({"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)
