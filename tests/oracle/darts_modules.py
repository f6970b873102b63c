"""Weights as code written for DARTS stores them: networks of its modules, under its attributes' names.

python3 tests/oracle/darts_modules.py      writes modules-cifar.safetensors and modules-imagenet.safetensors beside this file.

Out: the state dict of an evaluation network (PyTorch names it), and as metadata what is needed to build the same network: the
genotype, and the logits of two images of which pixel e is ((e * 7919) mod 256 - 128) / 64. The file is written here, by
fifteen lines, so that our reader is checked against another writer.
"""
import json
import pathlib
import struct

import torch
from torch import nn

CHANNELS, LAYERS, CLASSES, HIDDEN, WIDE = 4, 4, 5, 6, 8
NORMAL = [("sep_conv_3x3", 1), ("dil_conv_5x5", 0), ("skip_connect", 0), ("sep_conv_5x5", 1),
          ("avg_pool_3x3", 2), ("dil_conv_3x3", 0), ("max_pool_3x3", 3), ("sep_conv_3x3", 4)]
REDUCE = [("sep_conv_3x3", 0), ("skip_connect", 1), ("dil_conv_3x3", 1), ("max_pool_3x3", 0),
          ("skip_connect", 2), ("avg_pool_3x3", 1), ("skip_connect", 0), ("dil_conv_5x5", 3)]


def conv(c_in, c_out, k, stride=1, **more):
    return nn.Conv2d(c_in, c_out, k, stride, bias=False, **more)


class ReLUConvBN(nn.Module):
    def __init__(self, c_in, c):
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), conv(c_in, c, 1), nn.BatchNorm2d(c))

    def forward(self, x):
        return self.op(x)


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1, self.conv_2 = conv(c_in, c // 2, 1, 2), conv(c_in, c // 2, 1, 2)
        self.bn = nn.BatchNorm2d(c)

    def forward(self, x):
        x = self.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


class SepConv(nn.Module):
    def __init__(self, c, k, stride):
        super().__init__()
        links = []
        for s in (stride, 1):
            links += [nn.ReLU(), conv(c, c, k, s, padding=k // 2, groups=c), conv(c, c, 1), nn.BatchNorm2d(c)]
        self.op = nn.Sequential(*links)

    def forward(self, x):
        return self.op(x)


class DilConv(nn.Module):
    def __init__(self, c, k, stride):
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), conv(c, c, k, stride, padding=k - 1, dilation=2, groups=c),
                                conv(c, c, 1), nn.BatchNorm2d(c))

    def forward(self, x):
        return self.op(x)


class Identity(nn.Module):
    def forward(self, x):
        return x


def operator(name, c, stride):
    if name == "skip_connect":
        return Identity() if stride == 1 else FactorizedReduce(c, c)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return (SepConv if name.startswith("sep") else DilConv)(c, int(name[-1]), stride)


class Cell(nn.Module):
    def __init__(self, pairs, c_pp, c_p, c, reduction, previous):
        super().__init__()
        self.preprocess0 = FactorizedReduce(c_pp, c) if previous else ReLUConvBN(c_pp, c)
        self.preprocess1 = ReLUConvBN(c_p, c)
        self.sources = [source for _, source in pairs]
        self._ops = nn.ModuleList(operator(name, c, 2 if reduction and source < 2 else 1) for name, source in pairs)

    def forward(self, a, b):
        states = [self.preprocess0(a), self.preprocess1(b)]
        for i in range(0, len(self._ops), 2):
            states.append(sum(self._ops[j](states[self.sources[j]]) for j in (i, i + 1)))
        return torch.cat(states[2:], dim=1)


class AuxiliaryHead(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(5, 3, count_include_pad=False), conv(c, HIDDEN, 1), nn.BatchNorm2d(HIDDEN),
            nn.ReLU(), conv(HIDDEN, WIDE, 2), nn.BatchNorm2d(WIDE), nn.ReLU())
        self.classifier = nn.Linear(WIDE, CLASSES)


class Network(nn.Module):
    def __init__(self, imagenet):
        super().__init__()
        c, previous = CHANNELS, imagenet
        if imagenet:
            self.stem0 = nn.Sequential(conv(3, c // 2, 3, 2, padding=1), nn.BatchNorm2d(c // 2), nn.ReLU(),
                                       conv(c // 2, c, 3, 2, padding=1), nn.BatchNorm2d(c))
            self.stem1 = nn.Sequential(nn.ReLU(), conv(c, c, 3, 2, padding=1), nn.BatchNorm2d(c))
        else:
            self.stem = nn.Sequential(conv(3, 3 * c, 3, padding=1), nn.BatchNorm2d(3 * c))
        c_pp = c_p = c if imagenet else 3 * c
        self.cells = nn.ModuleList()
        for i in range(LAYERS):
            reduction = i in (LAYERS // 3, 2 * LAYERS // 3)
            c *= 2 if reduction else 1
            self.cells.append(Cell(REDUCE if reduction else NORMAL, c_pp, c_p, c, reduction, previous))
            previous, c_pp, c_p = reduction, c_p, 4 * c
            if i == 2 * LAYERS // 3 and not imagenet:
                self.auxiliary_head = AuxiliaryHead(c_p)
        self.classifier = nn.Linear(c_p, CLASSES)

    def forward(self, x):
        if hasattr(self, "stem"):
            a = b = self.stem(x)
        else:
            a = self.stem0(x)
            b = self.stem1(a)
        for cell in self.cells:
            a, b = b, cell(a, b)
        return self.classifier(b.mean(dim=(2, 3)))


def write_safetensors(path, tensors, metadata):
    kinds = {torch.float32: "F32", torch.int64: "I64"}
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        raw = tensor.detach().numpy().tobytes()
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = pathlib.Path(__file__).parent
    for name, imagenet, side in (("cifar", False, 32), ("imagenet", True, 64)):
        torch.manual_seed(6)
        net = Network(imagenet)
        for key, tensor in net.state_dict().items():
            if tensor.dtype == torch.float32 and tensor.dim() == 1:  # gains, shifts, statistics: none of them 0 or 1
                tensor.uniform_(0.75, 1.25) if "var" in key or "weight" in key else tensor.uniform_(-0.25, 0.25)
            elif tensor.dtype == torch.float32:
                tensor.mul_(2)
        count = 2 * 3 * side * side
        images = (((torch.arange(count, dtype=torch.float64) * 7919) % 256 - 128) / 64).view(2, 3, side, side)
        logits = net.double().eval()(images).flatten().tolist()
        genotype = (f"Genotype(normal={NORMAL}, normal_concat=range(2, 6), "
                    f"reduce={REDUCE}, reduce_concat=range(2, 6))")
        write_safetensors(folder / f"modules-{name}.safetensors", net.float().state_dict(),
                          {"genotype": genotype, "logits": " ".join(f"{v:.12g}" for v in logits)})


if __name__ == "__main__":
    main()
