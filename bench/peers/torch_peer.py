"""Peer: PyTorch, eager or torch.compile, on a search step, a training step or inference.

In: options (see --help). Out: lines of JSON as serving.py says; with --cell one line, seconds from the start to the cell.
Start it through bench/run, which pins it and sets its allocator.
"""
import argparse
import gzip
import itertools
import json
import os
import sys
import time

start = time.perf_counter()

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402


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


def cifar_batches(options):
    """Batches as ftso makes them, without end: the halves of the training images in turn, each in an order of its own by
    chance; cropped from a border of 4, mirrored, normalised. Whole batches only, which spares a compiler the second shape."""
    images, labels = [], []
    for number in range(1, 6):
        with open(os.path.join(options.cifar, f"data_batch_{number}.bin"), "rb") as file:
            rows = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).view(-1, 3073)
        labels.append(rows[:, 0].long())
        images.append(rows[:, 1:].view(-1, 3, 32, 32))
    images, labels = F.pad(torch.cat(images), (4, 4, 4, 4)), torch.cat(labels)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)))
    half, at = len(images) // 2, torch.arange(32)
    orders = [[], []]
    while True:
        for part, order in enumerate(orders):
            if len(order) == 0:
                order.extend((torch.randperm(half) + part * half).split(options.batch)[:half // options.batch])
            chosen = order.pop()
            top, left = (torch.randint(0, 9, (len(chosen), 1)) + at for _ in range(2))
            left = torch.where(torch.rand(len(chosen), 1) < 0.5, left.flip(1), left)
            seen = images[chosen[:, None, None, None], torch.arange(3)[:, None, None], top[:, None, :, None], left[:, None, None, :]]
            yield (seen.float() / 255 - mean) / std, labels[chosen]


def made_up(options):
    return (torch.randn(options.batch, options.in_channels, options.side, options.side),
            torch.randint(0, 10, (options.batch,)))


def step_of_weights(weights, lr):
    """Clip, SGD with momentum and decay, from gradients."""
    sgd = torch.optim.SGD(weights, lr=lr, momentum=0.9, weight_decay=3e-4, foreach=True)

    def step(loss):
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights)):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, 5.0, foreach=True)
        sgd.step()
        return float(loss.detach())
    return step


def search(options):
    """One bilevel iteration: Adam on the edge weights, then SGD on the weights; and the cell it leads to."""
    net = serving.supernet(options)
    arch = (1e-3 * torch.randn(net.arch_size())).requires_grad_()
    if options.idx:
        images, numbers = read_idx(options.idx, 2 * options.batch)
        batches = list(zip(images.split(options.batch), numbers.split(options.batch)))
    else:
        batches = [made_up(options), made_up(options)]
    endless = cifar_batches(options) if options.cifar else itertools.cycle(batches)
    adam = torch.optim.Adam([arch], lr=6e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    weight_step = step_of_weights(list(net.parameters()), 0.1)

    def loss_of(images, label):
        return F.cross_entropy(net(images, arch), label)
    forward = torch.compile(loss_of) if options.compile else loss_of

    def iteration():
        arch.grad, = torch.autograd.grad(forward(*next(endless)), [arch])
        adam.step()
        weight_step(forward(*next(endless)))

    def iterations():
        for _ in range(options.iterations):
            iteration()

    def cell():
        iteration()
        first, chosen = 0, []
        for _ in range(2):
            for node in range(options.nodes):
                betas = arch[first:first + 2 + node].tolist()
                chosen.append(sorted(sorted(range(2 + node), key=lambda i: -betas[i])[:2]))
                first += 2 + node
        return chosen
    return cell if options.cell else iterations


def train(options):
    """One training step of a found network, with its auxiliary head where it has one."""
    net = serving.found(options)
    images, labels = made_up(options)
    weight_step = step_of_weights(list(net.parameters()), 0.025)

    def loss_of(images, label):
        out = net(images)
        if isinstance(out, tuple):
            return F.cross_entropy(out[0], label) + 0.4 * F.cross_entropy(out[1], label)
        return F.cross_entropy(out, label)
    forward = torch.compile(loss_of) if options.compile else loss_of
    return lambda: weight_step(forward(images, labels))


def infer(options):
    net = serving.freeze_statistics(serving.found(options), torch)
    images, _ = made_up(options)
    forward = torch.compile(net) if options.compile else net

    def call():
        with torch.inference_mode():
            return forward(images)
    return call


WORKS = {"search": search, "train": train, "infer": infer}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    serving.add_options(parser)
    parser.add_argument("--work", choices=list(WORKS), default="search")
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--cell", action="store_true", help="one iteration, then the cell, and no more")
    parser.add_argument("--iterations", type=int, default=1, help="iterations of a search in one timed call")
    parser.add_argument("--cifar", metavar="FOLDER", help="images of CIFAR-10 in binary form instead of random numbers")
    parser.add_argument("--idx", metavar="FOLDER", help="images in IDX form instead of random numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    call = WORKS[options.work](options)
    if options.cell:
        chosen = call()
        print(json.dumps({"seconds": time.perf_counter() - start, "cell": chosen}), flush=True)
        return
    serving.serve({"name": "compile" if options.compile else "eager", "version": torch.__version__}, call, options)


if __name__ == "__main__":
    main()
