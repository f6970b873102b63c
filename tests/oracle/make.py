"""Makes the stored oracle files tests/oracle/*.oracle with PyTorch in float64, and its float32 errors beside them.

In: the table CASES below. Out: one file a case (README.md has the format). Run: python3 tests/oracle/make.py [NAME ...]
Must hold: weights, betas and images are exact in float32, so that every implementation starts from the same numbers;
nothing of the C sources is read.
"""
import math
import os
import struct
import sys

import torch
import torch.nn.functional as F

from networks import BatchNorm, DARTS_8, Identity, NB201, NB201_5, Network, Supernet, named_weights

HERE = os.path.dirname(os.path.abspath(__file__))
BATCHES = 11  # pairs of a validation and a training batch; float32 errors are medians over them
STEPS = 20    # of the long run; the batches come round again
LONG_RUNS = 11  # of STEPS each, for the float32 error after them

DARTS_V2 = (
    [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
     ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)], [2, 3, 4, 5],
    [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
     ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)], [2, 3, 4, 5])
# Every operator of the eight but none, stride 1 and 2, a state that is not put out.
ALL_KINDS = (
    [("sep_conv_5x5", 1), ("avg_pool_3x3", 0), ("dil_conv_5x5", 2), ("skip_connect", 1),
     ("max_pool_3x3", 3), ("dil_conv_3x3", 0), ("sep_conv_3x3", 4), ("avg_pool_3x3", 2)], [2, 4, 5],
    [("dil_conv_5x5", 0), ("sep_conv_5x5", 1), ("skip_connect", 0), ("avg_pool_3x3", 1),
     ("dil_conv_3x3", 1), ("skip_connect", 3), ("sep_conv_3x3", 0), ("max_pool_3x3", 4)], [2, 3, 4, 5])
SEP3 = ([("sep_conv_3x3", 0), ("sep_conv_3x3", 1)] * 4, [2, 3, 4, 5]) * 2

PC_WEIGHTS = dict(lr=0.1, momentum=0.9, decay=3e-4, clip=5.0, nesterov=False)
DARTS_WEIGHTS = dict(lr=0.025, momentum=0.9, decay=3e-4, clip=5.0, nesterov=False)
NB201_WEIGHTS = dict(lr=0.1, momentum=0.9, decay=5e-4, clip=0.0, nesterov=True)
TRAIN_WEIGHTS = dict(lr=0.025, momentum=0.9, decay=3e-4, clip=1.0, nesterov=False)
NESTEROV_WEIGHTS = dict(lr=0.05, momentum=0.9, decay=3e-4, clip=5.0, nesterov=True)
ADAM_WEIGHTS = dict(lr=1e-3, beta1=0.9, beta2=0.999, decay=1e-4)
FTSO_ARCH = dict(lr=6e-4, beta1=0.5, beta2=0.999, decay=1e-3)

DARTS_FILE, NB201_FILE = "examples/darts.ftso", "tests/oracle/nasbench201.ftso"
SKIP = ["skip_connect"]
SMALL_HEAD = [("conv(128, 1)", "conv(6, 1)"), ("conv(768, 2, pad = 0)", "conv(10, 2, pad = 0)")]


def nodes(count):
    return [("nodes = 4;", f"nodes = {count};")]


CASES = {
    # The search as it is run, on small images: softmax, betas near zero.
    "skip-k1": dict(layers=6, channels=4, side=16, batch=4, ops=SKIP, beta_std=1e-3),
    "skip-k4": dict(layers=3, channels=8, side=16, batch=4, ops=SKIP, k=4, beta_std=1e-3),
    # Readings and sizes that nobody tuned for.
    "skip-k1-raw": dict(layers=3, channels=3, side=8, batch=4, ops=SKIP, raw=True),
    "skip-k4-raw": dict(layers=3, channels=8, side=8, batch=5, ops=SKIP, k=4, raw=True),
    "skip-k2-grey": dict(layers=4, channels=6, side=12, batch=3, ops=SKIP, k=2, in_channels=1, classes=7,
                         nodes=3, replace=nodes(3)),
    "skip-k1-nodes5": dict(layers=3, channels=5, side=8, batch=5, ops=SKIP, nodes=5, replace=nodes(5)),
    "pool-k1": dict(layers=3, channels=4, side=16, batch=4, ops=["max_pool_3x3"]),
    "pool-k4": dict(layers=3, channels=8, side=8, batch=4, ops=["max_pool_3x3"], k=4),
    "sep3-k1": dict(layers=3, channels=3, side=8, batch=4, ops=["sep_conv_3x3"], nodes=3, replace=nodes(3)),
    "three-ops": dict(layers=3, channels=4, side=8, batch=4, ops=["max_pool_3x3", "skip_connect", "none"]),
    "darts": dict(layers=3, channels=2, side=8, batch=4, ops=DARTS_8, edge_weights=False, nodes=2,
                  replace=nodes(2), weights=DARTS_WEIGHTS),
    "pc-darts": dict(layers=3, channels=4, side=8, batch=4, ops=DARTS_8, k=2, nodes=2, replace=nodes(2)),
    "nb201-search": dict(space=NB201_FILE, channels=2, side=8, batch=4, ops=NB201_5, edge_weights=False,
                         nb201=True, weights=NB201_WEIGHTS),
    # Found networks.
    "found-darts-v2": dict(layers=3, channels=4, side=16, batch=4, genotype=DARTS_V2, weights=DARTS_WEIGHTS),
    "found-all-kinds": dict(layers=3, channels=4, side=16, batch=3, genotype=ALL_KINDS, smoothing=0.1,
                            weights=DARTS_WEIGHTS),
    "found-aux": dict(layers=3, channels=2, side=32, batch=4, genotype=SEP3, auxiliary=(6, 10),
                      replace=SMALL_HEAD, weights=DARTS_WEIGHTS),
    "nb201-found": dict(space=NB201_FILE, channels=3, side=8, batch=4, nb201=True, weights=NB201_WEIGHTS,
                        genotype="|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"),
    # Found networks as they are trained: running statistics, drop path, the recipe's weight of the auxiliary head.
    "train-sgd": dict(train=True, layers=3, channels=2, side=32, batch=4, genotype=DARTS_V2, auxiliary=(6, 10),
                      replace=SMALL_HEAD, aux_weight=0.3, smoothing=0.1, drop_path=0.25, weights=TRAIN_WEIGHTS),
    "train-adam": dict(train=True, layers=3, channels=4, side=8, batch=4, genotype=ALL_KINDS, drop_path=0.25,
                       weights=ADAM_WEIGHTS),
    "train-nesterov": dict(train=True, layers=3, channels=3, side=12, in_channels=1, batch=5, genotype=DARTS_V2,
                           weights=NESTEROV_WEIGHTS),
    "train-nb201": dict(train=True, space=NB201_FILE, channels=3, side=8, batch=4, nb201=True, weights=NB201_WEIGHTS,
                        genotype="|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_3x3~2|"),
}


# ---------------------------------------------------------------- the file

class Writer:
    """Text lines, then the numbers of all tensors one after another (little-endian)."""

    def __init__(self):
        self.lines, self.blobs = ["ftso-oracle 1"], []

    def line(self, key, *values):
        self.lines.append(" ".join([key, *map(str, values)]))

    def tensor(self, name, kind, tensor):
        tensor = tensor.detach().to(torch.float64)
        values = tensor.flatten().tolist()
        if kind == "q8":
            values = [round(v * 32) for v in values]
        code = {"f64": "d", "f32": "f", "q8": "b", "u8": "B"}[kind]
        if kind in ("q8", "u8"):
            values = [int(v) for v in values]
        self.blobs.append(struct.pack(f"<{len(values)}{code}", *values))
        self.line("tensor", name, kind, *tensor.shape)

    def save(self, path):
        with open(path, "wb") as file:
            file.write(("\n".join(self.lines) + "\nend\n").encode())
            for blob in self.blobs:
                file.write(blob)
        return os.path.getsize(path)


# ---------------------------------------------------------------- one case

def darts_text(genotype):
    normal, normal_concat, reduce, reduce_concat = genotype
    return (f"Genotype(normal={normal!r}, normal_concat={normal_concat!r}, "
            f"reduce={reduce!r}, reduce_concat={reduce_concat!r})")


def build(case):
    width = dict(channels=case["channels"], in_channels=case.get("in_channels", 3), classes=case.get("classes", 10))
    genotype = case.get("genotype")
    if case.get("nb201"):
        ops = None
        if genotype:
            ops = [edge.partition("~")[0] for node in genotype.split("+") for edge in node.strip("|").split("|")]
        return NB201(ops, cells=1, **width)
    if genotype:
        return Network(genotype[:2], genotype[2:], layers=case["layers"], auxiliary=case.get("auxiliary"), **width)
    return Supernet(case["layers"], nodes=case.get("nodes", 4), k=case.get("k", 1), ops=case["ops"],
                    edge_weights=case.get("edge_weights", True), raw=case.get("raw", False), **width)


def norms(net):
    return [module for module in net.modules() if isinstance(module, BatchNorm)]


class Drop:
    """Multiplies what each dropped edge makes by the next column of a batch's masks."""

    def __init__(self, masks):
        self.masks, self.next = masks, 0

    def __call__(self, y):
        self.next += 1
        return y * self.masks[:, self.next - 1].view(-1, 1, 1, 1)


class Run:
    """The network in one precision, with everything that a bilevel step changes. `running`: statistics to start from."""

    def __init__(self, case, net, weights, arch, dtype, running=None):
        self.case, self.net, self.dtype = case, net.to(dtype).train(), dtype
        self.running = running
        self.table = named_weights(net)
        self.arch = None if arch is None else arch.detach().clone().to(dtype).requires_grad_()
        self.reset(weights, arch)

    def reset(self, weights, arch):
        with torch.no_grad():
            for name, tensor in self.table.items():
                tensor.copy_(weights[name])
            if arch is not None:
                self.arch.copy_(arch)
        for norm in norms(self.net):
            norm.running = None
            if self.running is not None:
                norm.running = tuple(t.detach().clone().to(self.dtype) for t in self.running[norm.path])
        rule = self.case.get("weights", PC_WEIGHTS)
        if "beta1" in rule:
            self.optimizer = torch.optim.Adam(self.table.values(), lr=rule["lr"], betas=(rule["beta1"], rule["beta2"]),
                                              weight_decay=rule["decay"])
        else:
            self.optimizer = torch.optim.SGD(self.table.values(), lr=rule["lr"], momentum=rule["momentum"],
                                             weight_decay=rule["decay"], nesterov=rule["nesterov"])
        self.clip = rule.get("clip", 0)
        if self.arch is not None:
            rule = FTSO_ARCH
            self.adam = torch.optim.Adam([self.arch], lr=rule["lr"], betas=(rule["beta1"], rule["beta2"]),
                                         weight_decay=rule["decay"])

    def loss(self, images, labels, masks=None):
        images = images.to(self.dtype)
        smoothing = self.case.get("smoothing", 0.0)
        if masks is not None:
            drop = Drop(masks.to(self.dtype))
            logits = self.net(images, drop)
            assert drop.next == masks.shape[1]
        else:
            logits = self.net(images) if self.arch is None else self.net(images, self.arch)
        if not isinstance(logits, tuple):
            return F.cross_entropy(logits, labels, label_smoothing=smoothing), logits
        first, second = (F.cross_entropy(l, labels, label_smoothing=smoothing) for l in logits)
        return first + self.case.get("aux_weight", 0.4) * second, logits[0]

    def arch_step(self, images, labels):
        loss, logits = self.loss(images, labels)
        gradient, = torch.autograd.grad(loss, [self.arch])
        self.arch.grad = gradient.clone()
        self.adam.step()
        return loss.detach(), logits.detach(), gradient

    def weight_step(self, images, labels, masks=None):
        loss, logits = self.loss(images, labels, masks)
        # A zero operator may cut the last reader of an edge off: no gradient then.
        gradients = torch.autograd.grad(loss, list(self.table.values()), allow_unused=True)
        gradients = [torch.zeros_like(t) if g is None else g for g, t in zip(gradients, self.table.values())]
        for tensor, gradient in zip(self.table.values(), gradients):
            tensor.grad = gradient.clone()
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.table.values(), self.clip)
        self.optimizer.step()
        return loss.detach(), logits.detach(), dict(zip(self.table, gradients))

    def running_now(self):
        return {f"{norm.path}.{name}": tensor.detach().clone() for norm in norms(self.net) if norm.running
                for name, tensor in zip(("running_mean", "running_var"), norm.running)}

    def weights_now(self):
        return {name: tensor.detach().clone() for name, tensor in self.table.items()}


def distance(value, truth):
    value, truth = value.to(torch.float64), truth.to(torch.float64)
    return float(torch.linalg.vector_norm(value - truth) / torch.linalg.vector_norm(truth))


def median(values):
    return sorted(values)[len(values) // 2]


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def arch_parts(net, arch):
    parts = {}
    for name, offset, shape in net.arch_layout():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        parts[name] = arch[offset:offset + count]
    return parts


def short_batches(case, net, weights, arch, running, batches, writer):
    """The same network on fewer images than it is planned for: everything is a mean over the images that are there."""
    for count in sorted({case["batch"] - 1, 2}):
        run = Run(case, net, weights, arch, torch.float64, running)
        if arch is not None:
            images, labels = batches[0]
            loss, _ = run.loss(images[:count], labels[:count])
            gradient, = torch.autograd.grad(loss, [run.arch])
            writer.tensor(f"short.{count}.arch.loss", "f64", loss)
            writer.tensor(f"short.{count}.arch.gradient", "f64", gradient)
        loss, logits = run.loss(*(part[:count] for part in batches[1]))
        for path, now in run.running_now().items():
            writer.tensor(f"short.{count}.running/{path}", "f64", now)
        gradients = torch.autograd.grad(loss, list(run.table.values()), allow_unused=True)
        writer.tensor(f"short.{count}.loss", "f64", loss)
        writer.tensor(f"short.{count}.logits", "f64", logits)
        stem = dict(zip(run.table, gradients))["stem.0.weight"]
        writer.tensor(f"short.{count}.gradient/stem.0.weight", "f64", stem)
    writer.line("short", *sorted({case["batch"] - 1, 2}))


def given_statistics(net, writer):
    """Running statistics to start from or to judge with."""
    running = {}
    for norm in norms(net):
        mean = (0.3 * torch.randn(norm.num_features)).to(torch.float32).to(torch.float64)
        var = (0.5 + torch.rand(norm.num_features)).to(torch.float32).to(torch.float64)
        writer.tensor(f"running/{norm.path}.running_mean", "f32", mean)
        writer.tensor(f"running/{norm.path}.running_var", "f32", var)
        running[norm.path] = (mean, var)
    return running


def inference(case, net, weights, running, batches, writer):
    """Logits of validation batch 0 with given running statistics."""
    net = Run(case, net, weights, None, torch.float64, running).net.eval()
    with torch.no_grad():
        logits = net(batches[0][0])
    if isinstance(logits, tuple):
        logits = logits[0]
    writer.tensor("inference.logits", "f64", logits)
    writer.line("inference", 1)


def float32_errors(case, net64, net32, weights, arch, running, batches, writer):
    """Distances of PyTorch's float32 from its float64, per tensor, from the same start for every batch. Of Adam no updates: where
    a gradient is all but zero its first step is a sign."""
    double, single = (Run(case, net, weights, arch, dtype, running)
                      for net, dtype in ((net64, torch.float64), (net32, torch.float32)))
    errors, norms, adam = {}, {}, "beta1" in case.get("weights", PC_WEIGHTS)

    def note(name, value, truth):
        errors.setdefault(name, []).append(distance(value, truth))

    for b in range(BATCHES):
        valid, train = batches[2 * b], batches[2 * b + 1]
        double.reset(weights, arch)
        single.reset(weights, arch)
        if arch is not None:
            loss, logits, gradient = double.arch_step(*valid)
            loss32, logits32, gradient32 = single.arch_step(*valid)
            note("arch.loss", loss32, loss)
            note("arch.logits", logits32, logits)
            for name, truth in arch_parts(net64, gradient).items():
                note(f"gradient/{name}", arch_parts(net64, gradient32)[name], truth)
            writer.tensor(f"arch.loss/{b}", "f64", loss)
            writer.tensor(f"arch.gradient/{b}", "f64", gradient)
            # The weight step of both precisions, and of whoever is judged, starts from the same betas.
            rounded = double.arch.detach().to(torch.float32)
            writer.tensor(f"arch.after/{b}", "f32", rounded)
            with torch.no_grad():
                double.arch.copy_(rounded)
                single.arch.copy_(rounded)
        loss, logits, gradients = double.weight_step(*train)
        loss32, logits32, gradients32 = single.weight_step(*train)
        writer.tensor(f"loss/{b}", "f64", loss)
        note("loss", loss32, loss)
        note("logits", logits32, logits)
        total = torch.sqrt(sum((g ** 2).sum() for g in gradients.values()))
        for name, truth in gradients.items():
            norms.setdefault(name, []).append(float(torch.linalg.vector_norm(truth) / total))
            if norms[name][-1] > 1e-10:
                note(f"gradient/{name}", gradients32[name], truth)
                change = double.table[name].detach() - weights[name]
                if adam:
                    continue
                note(f"update/{name}", single.table[name].detach().to(torch.float64) - weights[name], change)
        start = {f"{path}.{kind}": value for path, pair in (running or {}).items()
                 for kind, value in zip(("running_mean", "running_var"), pair)}
        now32 = single.running_now()
        for name, now in double.running_now().items():
            note(f"running/{name}", now32[name].to(torch.float64) - start[name], now - start[name])
    for name, values in errors.items():
        writer.line("float32", name, f"{median(values):.3e}")


def long_errors(case, net64, net32, weights, running, batches, writer):
    """The same after STEPS steps, by updates since the start; run r begins with batch r. Norms that vanish are not judged.
    Where a relu's operand is all but zero its sign is a matter of rounding, and a run in which it turns ends a hundred times as far
    off: of two kinds of runs a median is luck, a geometric mean is not."""
    errors = {}
    for first in range(LONG_RUNS):
        ends = []
        for net, dtype in ((net64, torch.float64), (net32, torch.float32)):
            run = Run(case, net, weights, None, dtype, running)
            for step in range(STEPS):
                run.weight_step(*batches[2 * ((first + step) % BATCHES) + 1])
            ends.append((run.weights_now(), run.running_now()))
        for name, now in ends[0][0].items():
            errors.setdefault(f"long.update/{name}", []).append(
                distance(ends[1][0][name].to(torch.float64) - weights[name], now - weights[name]))
        for name, now in ends[0][1].items():
            path, _, kind = name.rpartition(".")
            start = running[path][kind == "running_var"]
            errors.setdefault(f"long.running/{name}", []).append(
                distance(ends[1][1][name].to(torch.float64) - start, now - start))
    for name, values in errors.items():
        writer.line("float32", name, f"{geometric_mean(values):.3e}")
    writer.line("long_runs", LONG_RUNS)


def make(name, case):
    torch.manual_seed(sum(map(ord, name)))
    net = build(case).to(torch.float64)
    weights = {}
    for path, tensor in named_weights(net).items():
        value = tensor.detach().clone()
        if tensor.dim() == 1 and not path.startswith(("head.1.", "head.3.", "auxiliary.8.")):  # a norm's: away from 1 and 0
            value = value + 0.1 * torch.randn_like(value)
        weights[path] = value.to(torch.float32).to(torch.float64)
    arch = None
    if not case.get("genotype"):
        std = case.get("beta_std", 0.5)
        arch = (std * torch.randn(net.arch_size())).to(torch.float32).to(torch.float64)
    shape = (case["batch"], case.get("in_channels", 3), case["side"], case["side"])
    writer = Writer()
    dropped = 0
    if case.get("drop_path"):
        dropped = sum(not isinstance(op, Identity) for cell in net.cells for op in cell.ops)
    batches = []
    for _ in range(2 * BATCHES):
        images = (torch.randn(shape) * 32).round().clamp(-127, 127).to(torch.float64) / 32
        batch = (images, torch.randint(0, case.get("classes", 10), (case["batch"],)))
        if dropped:
            keep = 1 - case["drop_path"]
            masks = torch.bernoulli(torch.full((case["batch"], dropped), keep)) / keep
            batch += (masks.to(torch.float32).to(torch.float64),)
        batches.append(batch)

    writer.line("space", case.get("space", DARTS_FILE))
    for old, new in case.get("replace", []):
        writer.line("replace", f"{old}|{new}")
    for key, value in (("k", case.get("k")), ("layers", case.get("layers")), ("channels", case["channels"]),
                       ("side", case["side"]), ("image_channels", case.get("in_channels", 3)),
                       ("classes", case.get("classes", 10)), ("batch", case["batch"]),
                       ("smoothing", case.get("smoothing")), ("aux_weight", case.get("aux_weight")),
                       ("drop_path", dropped), ("batches", BATCHES), ("steps", STEPS)):
        if value:
            writer.line(key, value)
    if case.get("raw"):
        writer.line("raw", 1)
    if case.get("auxiliary"):
        writer.line("auxiliary", 1)
    if case.get("genotype"):
        text = case["genotype"]
        writer.line("genotype", text if isinstance(text, str) else darts_text(text))
    else:
        writer.line("ops", *case["ops"])
        writer.line("edge_weights", int(case.get("edge_weights", True)))
    rule = case.get("weights", PC_WEIGHTS)
    if "beta1" in rule:
        writer.line("weights_adam", rule["lr"], rule["beta1"], rule["beta2"], rule["decay"])
    else:
        writer.line("sgd", rule["lr"], rule["momentum"], rule["decay"], rule["clip"], int(rule["nesterov"]))
    if arch is not None:
        writer.line("adam", FTSO_ARCH["lr"], FTSO_ARCH["beta1"], FTSO_ARCH["beta2"], FTSO_ARCH["decay"])
        for part, offset, part_shape in net.arch_layout():
            writer.line("arch", part, offset, *part_shape)

    for path, value in weights.items():
        writer.tensor(f"weights/{path}", "f32", value)
    if arch is not None:
        writer.tensor("arch", "f32", arch)
    for i, (images, labels, *masks) in enumerate(batches):
        kind, step = ("valid", "train")[i % 2], i // 2
        if case.get("train") and kind == "valid" and step:
            continue  # a found network has no arch step
        writer.tensor(f"{kind}.image/{step}", "q8", images)
        writer.tensor(f"{kind}.label/{step}", "u8", labels)
        if masks and kind == "train":
            writer.tensor(f"{kind}.drop/{step}", "f32", *masks)
    running = None
    if case.get("train"):
        writer.line("train", 1)
        running = given_statistics(net, writer)

    # One full bilevel step, then nineteen more, in double throughout.
    run = Run(case, net, weights, arch, torch.float64, running)
    for step in range(STEPS):
        if arch is not None:
            loss, logits, gradient = run.arch_step(*batches[2 * (step % BATCHES)])
            if step == 0:
                writer.tensor("first.arch.loss", "f64", loss)
                writer.tensor("first.arch.logits", "f64", logits)
                writer.tensor("first.arch.gradient", "f64", gradient)
                writer.tensor("first.arch.update", "f64", run.arch.detach() - arch)
        loss, logits, gradients = run.weight_step(*batches[2 * (step % BATCHES) + 1])
        if step == 0:
            writer.tensor("first.loss", "f64", loss)
            writer.tensor("first.logits", "f64", logits)
            for path, gradient in gradients.items():
                writer.tensor(f"first.gradient/{path}", "f64", gradient)
        if step in (0, STEPS - 1):
            when = "first" if step == 0 else "last"
            for path, now in run.weights_now().items():
                writer.tensor(f"{when}.update/{path}", "f64" if step == 0 else "f32", now - weights[path])
            for path, now in run.running_now().items():
                writer.tensor(f"{when}.running/{path}", "f64", now)
    writer.tensor("last.loss", "f64", loss)
    if arch is not None:
        writer.tensor("last.arch.update", "f64", run.arch.detach() - arch)
    float32_errors(case, net, build(case), weights, arch, running, batches, writer)
    if case.get("train"):
        long_errors(case, net.to(torch.float64), build(case), weights, running, batches, writer)
    short_batches(case, net.to(torch.float64), weights, arch, running, batches, writer)
    if case.get("genotype") and (running or not case.get("auxiliary")):
        inference(case, net, weights, running or given_statistics(net, writer), batches, writer)
    size = writer.save(os.path.join(HERE, f"{name}.oracle"))
    print(f"{name}: {sum(t.numel() for t in weights.values())} weights, {size} bytes", flush=True)
    return size


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = sys.argv[1:] or list(CASES)
    print(f"PyTorch {torch.__version__}: {sum(make(n, CASES[n]) for n in names)} bytes")


if __name__ == "__main__":
    main()
