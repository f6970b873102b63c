"""Peer: trains a found network of the DARTS family in PyTorch by a short recipe and prints its test accuracy after each epoch.

In: a folder of CIFAR-10's binary files (or, with --idx, of Fashion-MNIST's), a cell in DARTS text, the recipe's numbers; the
defaults are those of `train c10_short` in examples/darts_cifar10.ftso. Out: one JSON object a line on stdout, and a checkpoint
after each epoch: the same call again goes on from there.
Must hold: the network is that of tests/oracle/networks.py; crops, flips, order and weights are drawn from --seed.

    python3 bench/peers/train_found.py data/cifar-10-batches-bin --cell cell.txt --checkpoint c10.pt

Give it a quiet machine, two pinned threads and an allocator that keeps its memory (bench/lib.sh has the setting).
"""
import argparse
import ast
import gzip
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "oracle"))
from networks import BatchNorm, Network  # noqa: E402

WIDE = ("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], normal_concat=[2, 3, 4, 5], "
        "reduce=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], reduce_concat=[2, 3, 4, 5])")


def read_cifar(folder, names):
    data = b"".join(open(os.path.join(folder, name), "rb").read() for name in names)
    records = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).contiguous(), records[:, 0].long()


def read_idx(folder, part):
    def content(name):
        path = os.path.join(folder, name)
        with (gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")) as file:
            return bytearray(file.read())
    pixels, labels = content(f"{part}-images-idx3-ubyte"), content(f"{part}-labels-idx1-ubyte")
    side = int.from_bytes(pixels[8:12], "big")
    images = torch.frombuffer(pixels, dtype=torch.uint8, offset=16).view(-1, 1, side, side)
    return images, torch.frombuffer(labels, dtype=torch.uint8, offset=8).long()


def read_cell(text):
    """((normal pairs, concat), (reduce pairs, concat)) of a DARTS genotype; nothing in it is run."""
    call = ast.parse(text.strip().partition("=")[2].strip() if text.strip().split("(")[0].count("=") else text.strip(),
                     mode="eval").body
    parts = {}
    for keyword in call.keywords:
        value = keyword.value
        if isinstance(value, ast.Call) and value.func.id == "range":
            parts[keyword.arg] = list(range(*(argument.value for argument in value.args)))
        else:
            parts[keyword.arg] = list(ast.literal_eval(value))
    return (parts["normal"], parts["normal_concat"]), (parts["reduce"], parts["reduce_concat"])


def augment(images, pad, generator):
    """Each image padded with zeros, cut out at a random place, flipped half of the time: bytes in, bytes out."""
    count, _, side, _ = images.shape
    padded = F.pad(images, (pad, pad, pad, pad))
    top, left = (torch.randint(0, 2 * pad + 1, (count,), generator=generator) for _ in range(2))
    flip = torch.rand(count, generator=generator) < 0.5
    out = torch.empty_like(images)
    for i in range(count):
        out[i] = padded[i, :, top[i]:top[i] + side, left[i]:left[i] + side]
    out[flip] = out[flip].flip(-1)
    return out


def judge(net, images, labels, normalise):
    net.eval()
    right = total = 0.0
    with torch.no_grad():
        for at in range(0, len(images), 250):
            logits = net(normalise(images[at:at + 250]))
            target = labels[at:at + 250]
            right += (logits.argmax(1) == target).sum().item()
            total += F.cross_entropy(logits, target, reduction="sum").item()
    net.train()
    return right / len(images), total / len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of the images")
    parser.add_argument("--idx", action="store_true", help="the folder holds IDX files (Fashion-MNIST)")
    parser.add_argument("--cell", help="file with the cell in DARTS text (default: all sep_conv_3x3 on the cell's inputs)")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--lr", type=float, default=0.025)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--decay", type=float, default=3e-4)
    parser.add_argument("--clip", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="torch.compile for the training steps")
    parser.add_argument("--channels-last", action="store_true", help="channels innermost in memory")
    parser.add_argument("--checkpoint", help="file written after each epoch, read at the start where it is there")
    parser.add_argument("--steps", type=int, help="stop each epoch after so many steps, judge 500 images: a trial run")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)

    if chosen.idx:
        (images, labels), (test, test_labels) = read_idx(chosen.data, "train"), read_idx(chosen.data, "t10k")
        mean, std = [0.2860], [0.3530]
    else:
        images, labels = read_cifar(chosen.data, [f"data_batch_{i}.bin" for i in range(1, 6)])
        test, test_labels = read_cifar(chosen.data, ["test_batch.bin"])
        mean, std = [0.49139968, 0.48215827, 0.44653124], [0.24703233, 0.24348505, 0.26158768]
    shape = (1, len(mean), 1, 1)
    mean, std = torch.tensor(mean).view(shape), torch.tensor(std).view(shape)

    def normalise(pixels):
        return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=layout)

    normal, reduce = read_cell(open(chosen.cell).read() if chosen.cell else WIDE)
    net = Network(normal, reduce, layers=chosen.layers, channels=chosen.channels, in_channels=images.shape[1])
    layout = torch.channels_last if chosen.channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    for norm in norms:
        norm.running = (torch.zeros(norm.num_features), torch.ones(norm.num_features))
    optimizer = torch.optim.SGD(net.parameters(), lr=chosen.lr, momentum=chosen.momentum, weight_decay=chosen.decay)
    begin = 0
    if chosen.checkpoint and os.path.exists(chosen.checkpoint):
        saved = torch.load(chosen.checkpoint)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        for norm, (m, v) in zip(norms, saved["running"]):
            norm.running = (m, v)
        begin = saved["epoch"]
    if chosen.steps:
        test, test_labels = test[:500], test_labels[:500]

    def loss_of(pixels, target):
        return F.cross_entropy(net(pixels), target)
    step_loss = torch.compile(loss_of) if chosen.compile else loss_of
    print(json.dumps({"peer": f"pytorch {torch.__version__}", "parameters": sum(p.numel() for p in net.parameters()),
                      "images": len(images), "from_epoch": begin}), flush=True)
    for epoch in range(begin, chosen.epochs):
        generator = torch.Generator().manual_seed(1000003 * chosen.seed + epoch)
        order = torch.randperm(len(images), generator=generator)
        lr = chosen.lr * (1 + math.cos(math.pi * epoch / chosen.epochs)) / 2
        for group in optimizer.param_groups:
            group["lr"] = lr
        start, loss_sum, seen = time.perf_counter(), 0.0, 0
        for step, at in enumerate(range(0, len(images), chosen.batch)):
            if step == chosen.steps:
                break
            rows = order[at:at + chosen.batch]
            loss = step_loss(normalise(augment(images[rows], 4, generator)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), chosen.clip)
            optimizer.step()
            loss_sum += loss.item() * len(rows)
            seen += len(rows)
        seconds = time.perf_counter() - start
        accuracy, test_loss = judge(net, test, test_labels, normalise)
        print(json.dumps({"epoch": epoch + 1, "lr": lr, "train_loss": loss_sum / seen, "test_accuracy": accuracy,
                          "test_loss": test_loss, "seconds": seconds, "images_per_s": seen / seconds}), flush=True)
        if chosen.checkpoint:
            torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1,
                        "running": [norm.running for norm in norms]}, chosen.checkpoint + ".new")
            os.replace(chosen.checkpoint + ".new", chosen.checkpoint)


if __name__ == "__main__":
    main()
