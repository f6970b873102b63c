"""PyTorch networks of the DARTS family and of NAS-Bench-201, for oracles and for speed comparisons.

In: plain numbers and names. Out: torch modules whose trainable tensors carry the names that lowering gives them.
Must hold: written from the published definitions alone, not from the C sources; the C sources are judged by it.

Every leaf with weights knows its `path`, the place in the space file: child i of a chain adds ".i", branch i adds ".i",
operator i of a mixture adds ".op.i". Convolutions, batch norms and linear layers add ".weight" and ".bias".
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

DARTS_8 = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect",
           "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
NB201_5 = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def named_weights(net):
    """Trainable tensors by the names of the lowering, in the order in which modules were made."""
    out = {}
    for module in net.modules():
        if not hasattr(module, "path"):
            continue
        for kind in ("weight", "bias"):
            tensor = getattr(module, kind, None)
            if tensor is not None:
                name = f"{module.path}.{kind}"
                assert name not in out, name
                out[name] = tensor
    return out


# ---------------------------------------------------------------- leaves

class Conv(nn.Conv2d):
    def __init__(self, path, c_in, c_out, k, stride=1, pad=None, dilation=1, groups=1, bias=False):
        if pad is None:
            pad = dilation * (k - 1) // 2
        super().__init__(c_in, c_out, k, stride, pad, dilation, groups, bias)
        self.path = path


class BatchNorm(nn.BatchNorm2d):
    """Batch statistics, as the search and a training step use them. Where `running` (mean, variance) is set, training moves it
    and evaluation uses it instead."""
    running = None

    def __init__(self, path, channels, affine):
        super().__init__(channels, affine=affine, track_running_stats=False)
        self.path = path

    def forward(self, x):
        if self.running is None:
            return super().forward(x)
        return F.batch_norm(x, *self.running, self.weight, self.bias, self.training, 0.1, self.eps)


class Linear(nn.Linear):
    def __init__(self, path, c_in, c_out):
        super().__init__(c_in, c_out)
        self.path = path


class Identity(nn.Module):
    def forward(self, x):
        return x


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, ::self.stride, ::self.stride] * 0.0


# ---------------------------------------------------------------- operators

class FactorizedReduce(nn.Module):
    def __init__(self, path, c_in, c_out, affine):
        super().__init__()
        assert c_out % 2 == 0
        self.straight = Conv(f"{path}.1.0", c_in, c_out // 2, 1, stride=2)
        self.shifted = Conv(f"{path}.1.1.1", c_in, c_out // 2, 1, stride=2)
        self.bn = BatchNorm(f"{path}.3", c_out, affine)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(torch.cat([self.straight(x), self.shifted(x[:, :, 1:, 1:])], dim=1))


def relu_conv_bn(path, c_in, c_out, k, stride, affine, bias=False):
    return nn.Sequential(nn.ReLU(), Conv(f"{path}.1", c_in, c_out, k, stride, bias=bias),
                         BatchNorm(f"{path}.2", c_out, affine))


def sep_conv(path, c, k, stride, affine):
    return nn.Sequential(
        nn.ReLU(), Conv(f"{path}.1", c, c, k, stride, groups=c), Conv(f"{path}.2", c, c, 1),
        BatchNorm(f"{path}.3", c, affine),
        nn.ReLU(), Conv(f"{path}.5", c, c, k, 1, groups=c), Conv(f"{path}.6", c, c, 1),
        BatchNorm(f"{path}.7", c, affine))


def dil_conv(path, c, k, stride, affine):
    return nn.Sequential(
        nn.ReLU(), Conv(f"{path}.1", c, c, k, stride, dilation=2, groups=c),
        Conv(f"{path}.2", c, c, 1), BatchNorm(f"{path}.3", c, affine))


def operator(path, name, c, stride, supernet, conv_bias=False, pool_bn=True):
    """One candidate, c channels to c channels. `supernet`: norms without weights, a norm after each pool."""
    affine = not supernet
    if name == "none":
        return Zero(stride)
    if name in ("max_pool_3x3", "avg_pool_3x3"):
        pool = nn.MaxPool2d(3, stride, 1) if name == "max_pool_3x3" else \
            nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        return nn.Sequential(pool, BatchNorm(f"{path}.1", c, False)) if supernet and pool_bn else pool
    if name == "skip_connect":
        return Identity() if stride == 1 else FactorizedReduce(path, c, c, affine)
    kind, _, size = name.rpartition("_")
    k = int(size.partition("x")[0])
    if kind == "sep_conv":
        return sep_conv(path, c, k, stride, affine)
    if kind == "dil_conv":
        return dil_conv(path, c, k, stride, affine)
    if kind == "nor_conv":
        return relu_conv_bn(path, c, c, k, stride, affine, bias=conv_bias)
    raise ValueError(name)


class Mixture(nn.Module):
    """The candidates of one edge, weighted by the caller; a single one is not weighted."""

    def __init__(self, path, names, c, stride, **kind):
        super().__init__()
        paths = [path] if len(names) == 1 else [f"{path}.op.{i}" for i in range(len(names))]
        self.ops = nn.ModuleList(operator(p, n, c, stride, True, **kind) for p, n in zip(paths, names))

    def forward(self, x, alpha):
        if len(self.ops) == 1:
            return self.ops[0](x)
        return sum(alpha[i] * op(x) for i, op in enumerate(self.ops))


class PartialMixture(nn.Module):
    """PC-DARTS: one channel in K goes through the candidates, the rest pass by, then the channels are shuffled."""

    def __init__(self, path, names, c, stride, k, **kind):
        super().__init__()
        self.k, self.part = k, c // k
        self.mixture = Mixture(f"{path}.0.0.1", names, c // k, stride, **kind)
        self.bypass = nn.MaxPool2d(2, 2) if stride == 2 else Identity()

    def forward(self, x, alpha):
        y = torch.cat([self.mixture(x[:, :self.part], alpha), self.bypass(x[:, self.part:])], dim=1)
        n, c, h, w = y.shape
        return y.view(n, self.k, c // self.k, h, w).transpose(1, 2).reshape(n, c, h, w)


# ---------------------------------------------------------------- cells of the DARTS family

def prepare(path, c_in, c, halve, affine):
    if halve:
        return FactorizedReduce(path, c_in, c, affine)
    return relu_conv_bn(path, c_in, c, 1, 1, affine)


class MixedCell(nn.Module):
    def __init__(self, index, reduction, previous_reduced, c_pp, c_p, c, nodes, ops, k):
        super().__init__()
        path = f"cells.{index}"
        self.nodes = nodes
        self.pre0 = prepare(f"{path}.pre.0", c_pp, c, previous_reduced, False)
        self.pre1 = prepare(f"{path}.pre.1", c_p, c, False, False)
        self.edges = nn.ModuleList()
        for node in range(2, 2 + nodes):
            for source in range(node):
                stride = 2 if reduction and source < 2 else 1
                edge = f"{path}.edge.{node}-{source}"
                self.edges.append(Mixture(edge, ops, c, stride) if k == 1 else
                                  PartialMixture(edge, ops, c, stride, k))

    def forward(self, s0, s1, beta, alpha):
        states = [self.pre0(s0), self.pre1(s1)]
        e = 0
        for _ in range(self.nodes):
            total = 0
            for source in range(len(states)):
                y = self.edges[e](states[source], None if alpha is None else alpha[e])
                total = total + (y if beta is None else beta[e] * y)
                e += 1
            states.append(total)
        return torch.cat(states[2:], dim=1)


class FoundCell(nn.Module):
    """`pairs`: (operator, source) in listed order, two for each node or as `counts` says; `concat`: states of the output."""

    def __init__(self, index, reduction, previous_reduced, c_pp, c_p, c, pairs, concat, counts=None):
        super().__init__()
        path = f"cells.{index}"
        self.pre0 = prepare(f"{path}.pre.0", c_pp, c, previous_reduced, True)
        self.pre1 = prepare(f"{path}.pre.1", c_p, c, False, True)
        self.concat = concat
        self.sources = [source for _, source in pairs]
        self.counts = counts or [2] * (len(pairs) // 2)
        nodes = [2 + n for n, count in enumerate(self.counts) for _ in range(count)]
        self.ops = nn.ModuleList()
        for i, ((name, source), node) in enumerate(zip(pairs, nodes)):
            edge = f"{path}.edge.{node}-{source}"
            if i and nodes[i - 1] == node and pairs[i - 1][1] == source:
                edge += "-1"
            self.ops.append(operator(edge, name, c, 2 if reduction and source < 2 else 1, False))

    def forward(self, s0, s1, drop=None):
        states = [self.pre0(s0), self.pre1(s1)]
        j = 0
        for count in self.counts:
            total = None
            for j in range(j, j + count):
                y = self.ops[j](states[self.sources[j]])
                if drop is not None and not isinstance(self.ops[j], Identity):
                    y = drop(y)
                total = y if total is None else total + y
            states.append(total)
            j += 1
        return torch.cat([states[i] for i in self.concat], dim=1)


def reductions(layers):
    return {layers // 3, 2 * layers // 3}


def stem(in_channels, c):
    return nn.Sequential(Conv("stem.0", in_channels, 3 * c, 3), BatchNorm("stem.1", 3 * c, True))


class Supernet(nn.Module):
    """Edge weights `arch` are handed in: betas of the normal cell, of the reduce cell, then the alphas likewise."""

    def __init__(self, layers=8, channels=16, nodes=4, in_channels=3, classes=10, k=1,
                 ops=("skip_connect",), edge_weights=True, raw=False):
        super().__init__()
        self.nodes, self.op_count, self.edge_weights, self.raw = nodes, len(ops), edge_weights, raw
        self.edge_count = sum(2 + i for i in range(nodes))
        self.stem = stem(in_channels, channels)
        self.cells = nn.ModuleList()
        self.reductions = reductions(layers)
        c_pp = c_p = 3 * channels
        c, previous = channels, False
        for i in range(layers):
            reduction = i in self.reductions
            if reduction:
                c *= 2
            self.cells.append(MixedCell(i, reduction, previous, c_pp, c_p, c, nodes, list(ops), k))
            previous = reduction
            c_pp, c_p = c_p, nodes * c
        self.classifier = Linear("head.1", c_p, classes)

    def arch_layout(self):
        """(name, offset, shape) of each slice of `arch`."""
        out, offset = [], 0
        if self.edge_weights:
            for kind in ("normal", "reduce"):
                out.append((f"beta.{kind}", offset, (self.edge_count,)))
                offset += self.edge_count
        if self.op_count > 1:
            for kind in ("normal", "reduce"):
                out.append((f"alpha.{kind}", offset, (self.edge_count, self.op_count)))
                offset += self.edge_count * self.op_count
        return out

    def arch_size(self):
        last = self.arch_layout()[-1]
        size = 1
        for d in last[2]:
            size *= d
        return last[1] + size

    def edge_shares(self, arch):
        shares = {}
        for name, offset, shape in self.arch_layout():
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            values = arch[offset:offset + count].view(shape)
            if name.startswith("alpha"):
                values = F.softmax(values, dim=1)
            elif not self.raw:
                parts, first = [], 0
                for i in range(self.nodes):
                    parts.append(F.softmax(values[first:first + 2 + i], dim=0))
                    first += 2 + i
                values = torch.cat(parts)
            shares[name] = values
        return shares

    def forward(self, x, arch):
        shares = self.edge_shares(arch)
        s0 = s1 = self.stem(x)
        for i, cell in enumerate(self.cells):
            kind = "reduce" if i in self.reductions else "normal"
            s0, s1 = s1, cell(s0, s1, shares.get(f"beta.{kind}"), shares.get(f"alpha.{kind}"))
        return self.classifier(s1.mean(dim=(2, 3)))


class AuxiliaryHead(nn.Module):
    def __init__(self, c_in, classes, hidden, wide):
        super().__init__()
        path = "auxiliary"
        self.features = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(5, 3, 0, count_include_pad=False),
            Conv(f"{path}.2", c_in, hidden, 1), BatchNorm(f"{path}.3", hidden, True), nn.ReLU(),
            Conv(f"{path}.5", hidden, wide, 2, pad=0), BatchNorm(f"{path}.6", wide, True), nn.ReLU())
        self.classifier = Linear(f"{path}.8", wide, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Network(nn.Module):
    """Found network: `normal` and `reduce` are (pairs, concat[, counts]). `auxiliary`: (hidden, wide) widths of the second head."""

    def __init__(self, normal, reduce, layers=20, channels=36, in_channels=3, classes=10, auxiliary=None):
        super().__init__()
        self.stem = stem(in_channels, channels)
        self.cells = nn.ModuleList()
        c_pp = c_p = 3 * channels
        c, previous = channels, False
        self.auxiliary_after = 2 * layers // 3 if auxiliary else -1
        for i in range(layers):
            reduction = i in reductions(layers)
            if reduction:
                c *= 2
            cell = reduce if reduction else normal
            self.cells.append(FoundCell(i, reduction, previous, c_pp, c_p, c, *cell))
            previous = reduction
            c_pp, c_p = c_p, len(cell[1]) * c
            if i == self.auxiliary_after:
                self.auxiliary = AuxiliaryHead(c_p, classes, *auxiliary)
        self.classifier = Linear("head.1", c_p, classes)

    def forward(self, x, drop=None):
        second = None
        s0 = s1 = self.stem(x)
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, drop)
            if i == self.auxiliary_after:
                second = self.auxiliary(s1)
        logits = self.classifier(s1.mean(dim=(2, 3)))
        return logits if second is None else (logits, second)


# ---------------------------------------------------------------- NAS-Bench-201

class ResidualReduce(nn.Module):
    """Two 3x3 convolutions beside a pooled 1x1; norms keep their weights in the super-net too when `affine`."""

    def __init__(self, path, c_in, c):
        super().__init__()
        self.body = nn.Sequential(relu_conv_bn(f"{path}.0.0.0", c_in, c, 3, 2, True),
                                  relu_conv_bn(f"{path}.0.0.1", c, c, 3, 1, True))
        self.pool = nn.AvgPool2d(2, 2)
        self.project = Conv(f"{path}.0.1.1", c_in, c, 1)

    def forward(self, x):
        return self.body(x) + self.project(self.pool(x))


class NB201Cell(nn.Module):
    """`ops`: one name an edge (found) or None (all five on each). Edges by node, ascending source."""

    def __init__(self, index, c, ops):
        super().__init__()
        self.edges = nn.ModuleList()
        e = 0
        for node in (1, 2, 3):
            for source in range(node):
                path = f"cells.{index}.edge.{node}-{source}"
                if ops is None:
                    self.edges.append(Mixture(path, NB201_5, c, 1, conv_bias=True, pool_bn=False))
                else:
                    self.edges.append(operator(path, ops[e], c, 1, False))
                e += 1

    def forward(self, x, alpha):
        states, e = [x], 0
        for node in (1, 2, 3):
            total = 0
            for source in range(node):
                edge = self.edges[e]
                total = total + (edge(states[source]) if alpha is None else edge(states[source], alpha[e]))
                e += 1
            states.append(total)
        return states[-1]


class NB201(nn.Module):
    def __init__(self, ops=None, cells=5, channels=16, in_channels=3, classes=10):
        super().__init__()
        self.stem = nn.Sequential(Conv("stem.0", in_channels, channels, 3), BatchNorm("stem.1", channels, True))
        self.cells, index, c = nn.ModuleList(), 0, channels
        for stage in range(3):
            if stage:
                self.cells.append(ResidualReduce(f"cells.{index}", c, 2 * c))
                c, index = 2 * c, index + 1
            for _ in range(cells):
                self.cells.append(NB201Cell(index, c, ops))
                index += 1
        self.bn = BatchNorm("head.0", c, True)
        self.classifier = Linear("head.3", c, classes)

    def arch_layout(self):
        return [("alpha.cell", 0, (6, 5))]

    def arch_size(self):
        return 30

    def forward(self, x, arch=None):
        alpha = None if arch is None else F.softmax(arch.view(6, 5), dim=1)
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x, alpha) if isinstance(cell, NB201Cell) else cell(x)
        return self.classifier(F.relu(self.bn(x)).mean(dim=(2, 3)))


def weight_count(net):
    return sum(t.numel() for t in named_weights(net).values())
