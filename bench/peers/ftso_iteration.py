"""Peer: one bilevel iteration of the skip-only super-net in PyTorch, eager or torch.compile.

In: options (see --help), the network of tests/oracle/networks.py. Out: one JSON object a line on stdout.
With --serve the process stays, so that a caller can interleave it with other programs: each line "run" on stdin
times one iteration and answers one line. Start it through bench/run, which pins it and sets the allocator.
"""
import argparse
import gzip
import json
import os
import resource
import sys
import time

start = time.perf_counter()

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "oracle"))
from networks import Supernet  # noqa: E402


def read_idx(folder, count):
    """The first images and labels of the training part, normalised; the rest of the file is read too, as a loader must."""
    def content(name):
        path = os.path.join(folder, name)
        with (gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")) as file:
            return bytearray(file.read())
    pixels, labels = content("train-images-idx3-ubyte"), content("train-labels-idx1-ubyte")
    side = int.from_bytes(pixels[8:12], "big")
    images = torch.frombuffer(pixels, dtype=torch.uint8, offset=16).view(-1, 1, side, side)[:count]
    return (images.float() / 255 - 0.286) / 0.353, torch.frombuffer(labels, dtype=torch.uint8, offset=8)[:count].long()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=1, help="partial channels: one in K")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--in-channels", type=int, default=3)
    parser.add_argument("--ops", default="skip_connect")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    parser.add_argument("--channels-last", action="store_true", help="images stored pixel by pixel")
    parser.add_argument("--repeat", type=int, default=9, help="iterations that are timed")
    parser.add_argument("--warm", type=int, default=2, help="iterations before")
    parser.add_argument("--serve", action="store_true", help="one iteration for each line of stdin")
    parser.add_argument("--cell", action="store_true", help="one iteration, then the cell: seconds since the start")
    parser.add_argument("--idx", metavar="FOLDER", help="images in IDX form instead of random numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)

    net = Supernet(options.layers, options.channels, options.nodes, options.in_channels, 10, options.k,
                   options.ops.split(","))
    arch = (1e-3 * torch.randn(net.arch_size())).requires_grad_()
    shape = (options.batch, options.in_channels, options.side, options.side)
    if options.idx:
        images, numbers = read_idx(options.idx, 2 * options.batch)
        (valid, train), labels = images.split(options.batch), numbers.split(options.batch)
    else:
        valid, train = torch.randn(shape), torch.randn(shape)
        labels = [torch.randint(0, 10, (options.batch,)) for _ in range(2)]
    if options.channels_last:
        net = net.to(memory_format=torch.channels_last)
        valid, train = (t.to(memory_format=torch.channels_last) for t in (valid, train))
    weights = list(net.parameters())
    sgd = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=3e-4, foreach=True)
    adam = torch.optim.Adam([arch], lr=6e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss_of(images, label):
        return F.cross_entropy(net(images, arch), label)

    forward = torch.compile(loss_of) if options.compile else loss_of

    def iteration():
        loss = forward(valid, labels[0])
        arch.grad, = torch.autograd.grad(loss, [arch])
        adam.step()
        loss = forward(train, labels[1])
        gradients = torch.autograd.grad(loss, weights)
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, 5.0, foreach=True)
        sgd.step()
        return float(loss.detach())

    def timed():
        begin = time.perf_counter()
        loss = iteration()
        return time.perf_counter() - begin, loss

    if options.cell:
        iteration()
        first, chosen = 0, []
        for kind in range(2):
            for node in range(options.nodes):
                betas = arch[first:first + 2 + node].tolist()
                chosen.append(sorted(sorted(range(2 + node), key=lambda i: -betas[i])[:2]))
                first += 2 + node
        print(json.dumps({"seconds": time.perf_counter() - start, "cell": chosen}), flush=True)
        return
    first, _ = timed()
    for _ in range(options.warm - 1):
        timed()
    about = {"name": "torch.compile" if options.compile else "eager", "version": torch.__version__,
             "threads": torch.get_num_threads(), "first_s": first}
    if options.serve:
        print(json.dumps(about), flush=True)
        for line in sys.stdin:
            if line.strip() != "run":
                break
            seconds, loss = timed()
            print(json.dumps({"seconds": seconds, "loss": loss}), flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"peak_kib": peak}), flush=True)
        return
    seconds = sorted(timed()[0] for _ in range(options.repeat))
    about.update(median_s=seconds[len(seconds) // 2], least_s=seconds[0], most_s=seconds[-1],
                 peak_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(json.dumps(about), flush=True)


if __name__ == "__main__":
    main()
