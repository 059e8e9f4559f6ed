"""Trains the embedded network of `wav2lip:embedded`. See README.md.

Stops by the clock: the learning rate follows the time that has passed, so any time limit gives a finished network.
"""

import argparse
import copy
import csv
import json
import math
import os
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from data import INNER, OUTER, Batcher, Clips, Said, Speech, disturb_mel, place, read_safetensors
from model import HIDDEN, SCALE, SIZE, Network, Unit, bend, compose, hide


def write_safetensors(path, tensors, meta):
    head, at, parts = {"__metadata__": meta}, 0, []
    for name in sorted(tensors):
        data = np.ascontiguousarray(tensors[name].detach().cpu().numpy().astype("<f2"))
        head[name] = {"dtype": "F16", "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        parts.append(data.tobytes())
        at += data.nbytes
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
    os.replace(path + ".tmp", path)


def folded(net):
    """State with batch norm's scale kept out of f16's reach: norms are folded into convolution and bias here."""
    out = {}
    state = net.state_dict()
    for name in state:
        if name.endswith("norm.weight"):
            base = name[: -len("norm.weight")]
            k = state[name].float() / torch.sqrt(state[base + "norm.running_var"].float() + 1e-5)
            out[base + "conv.weight"] = state[base + "conv.weight"].float() * k[:, None, None, None]
            out[base + "conv.bias"] = state[base + "norm.bias"].float() - state[base + "norm.running_mean"].float() * k
    for name in state:
        if ".norm." not in name and name not in out:
            out[name] = state[name].float()
    return out


def weight_map(points):
    """Where errors count: the face's lower part 1, the mouth 5, the rest 0.15. [B,1,S,S]"""
    dev = points.device
    y, x = torch.meshgrid(torch.arange(SIZE, device=dev) + 0.5, torch.arange(SIZE, device=dev) + 0.5, indexing="ij")
    mouth = points[:, place(OUTER, points.device)]
    c = (mouth.amax(1) + mouth.amin(1)) / 2
    r = (mouth.amax(1) - mouth.amin(1)) / 2 * 1.5 + 3
    d = ((x[None] - c[:, 0, None, None]) / r[:, 0, None, None]) ** 4
    d = d + ((y[None] - c[:, 1, None, None]) / r[:, 1, None, None]) ** 4
    face = torch.exp(-0.5 * (((x - SIZE / 2) / 34) ** 4 + ((y - 82) / 34) ** 4))
    w = 0.15 + 0.85 * face[None] + 4 * torch.exp(-d)
    w = torch.where((y < HIDDEN - 8)[None], 0.05 * torch.ones_like(w), w)
    return w[:, None]


def edges(x):
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def picture_loss(made, true, w):
    total = 0
    for _ in range(3):
        total = total + ((made - true).abs() * w).sum() / w.sum() / 3
        for a, b, v in zip(edges(made), edges(true), (w[..., :, 1:], w[..., 1:, :])):
            total = total + 0.7 * ((a - b).abs() * v).sum() / v.sum() / 3
        made, true, w = F.avg_pool2d(made, 2), F.avg_pool2d(true, 2), F.avg_pool2d(w, 2)
    return total


def crisp_loss(made, true, w):
    """Whether windows of 8 px have as much fine in them, wherever in them it lies: L1 alone would rather have it soft."""
    total = 0
    for a, b, v in zip(edges(made), edges(true), (w[..., :, 1:], w[..., 1:, :])):
        p, q = (F.avg_pool2d(k.abs().mean(1, keepdim=True), 8, 4) for k in (a, b))
        v = F.avg_pool2d(v, 8, 4)
        total = total + ((p - q).abs() * v).sum() / v.sum()
    return total


def lower_points(points):
    """Points of the lower face: those below the nose on the mean of a batch."""
    y = points[..., 1].mean(0)
    return (y > HIDDEN + 4).nonzero()[:, 0]


def point_loss(flow, batch, ids, wide):
    """A made point must be fetched from where the moment has it."""
    q = batch["target_points"][:, ids]
    g = (q / (SIZE / 2) - 1)[:, None]
    inside = ((q > 2) & (q < SIZE - 2)).all(-1).float() * wide[None]
    f = F.grid_sample(flow.float(), g, mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0].permute(0, 2, 1)
    total = 0
    for k, name in enumerate(("rest_points", "open_points")):
        e = f[..., 2 * k : 2 * k + 2] - (batch[name][:, ids] - q)
        e = F.smooth_l1_loss(e, torch.zeros_like(e), reduction="none", beta=1.0).sum(-1)
        total = total + (e * inside).sum() / inside.sum().clamp_min(1)
    return total / 2


def face_of(batch):
    return torch.cat(
        [
            hide(batch["seen"]), batch["rest"], batch["rest_lips"], batch["open"], batch["open_lips"],
            batch["wish_lips"],
        ],
        1,
    ).contiguous(memory_format=torch.channels_last)


def mouth_box(batch):
    """One where a mouth and a half around each mouth is, [B,S,S]."""
    mouth = batch["target_points"][:, place(OUTER, batch["target"].device)]
    c, r = (mouth.amax(1) + mouth.amin(1)) / 2, (mouth.amax(1) - mouth.amin(1)) / 2 * 1.5
    y, x = torch.meshgrid(
        torch.arange(SIZE, device=c.device) + 0.5, torch.arange(SIZE, device=c.device) + 0.5, indexing="ij"
    )
    return ((x[None] - c[:, 0, None, None]).abs() < r[:, 0, None, None]) & (
        (y[None] - c[:, 1, None, None]).abs() < r[:, 1, None, None]
    )


def mouth_psnr(made, batch):
    m = mouth_box(batch)
    e = ((made - batch["target"]) ** 2).mean(1)
    mse = (e * m).sum((1, 2)) / m.sum((1, 2)).clamp_min(1)
    return (-10 * torch.log10(mse.clamp_min(1e-6))).mean().item()


def mouth_sharpness(made, batch):
    """Energy of the Laplacian of the mouths, made over true."""
    m = mouth_box(batch)[:, 1:-1, 1:-1]
    both = []
    for p in (made, batch["target"]):
        y = p.mean(1)
        lap = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * y[:, 1:-1, 1:-1]
        both.append((lap**2 * m).sum().item())
    return both[0] / max(both[1], 1e-9)


def made_gap(flow, look, batch):
    """Opening the flow gives: where the inner lips of the rest moment come to lie, by the inverse of the flow."""
    gap = []
    for k, name in ((0, "rest_points"), (2, "open_points")):
        src = batch[name][:, 13:15]
        q = src.clone()
        for _ in range(20):
            g = (q / (SIZE / 2) - 1)[:, None]
            f = F.grid_sample(flow[:, k : k + 2].float(), g, padding_mode="border", align_corners=False)[:, :, 0]
            q = q + 0.5 * (src - f.permute(0, 2, 1) - q)
        gap.append((q[:, 1, 1] - q[:, 0, 1]) / SCALE)
    return gap[0], gap[1]


def gap_of(mouth):
    """Opening of mouths [B,MOUTH] against rest: the middle point of the upper inner lip over that of the lower one."""
    return mouth[:, 2 * (20 + INNER.index(13)) + 1] - mouth[:, 2 * (20 + INNER.index(14)) + 1]


def corr(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum().item() / math.sqrt(((a * a).sum() * (b * b).sum()).item() + 1e-12)


@torch.no_grad()
def judge(net, head, batcher, n=4, b=128):
    """Held-out persons: pictures of the mouth wished for, of another one, of the moments held; the gap that comes out and
    the one that was heard against the true one."""
    net.eval()
    rows, tg, mg, mo, ag, hg = [], [], [], [], [], []
    for _ in range(n):
        x = batcher.batch(b, held_out=True, disturb=False)
        face = face_of(x)
        with torch.autocast(x["mel"].device.type, dtype=torch.bfloat16, enabled=x["mel"].is_cuda):
            heard = net.audio.mouth(net.audio(x["mel"])).float()
            right = net.draw(face, x["wish"])
            turned = x["wish"].roll(1, 0)
            wrong = net.draw(torch.cat([face[:, :-1], x["rest_lips"]], 1), turned)
        made = compose(*x["clean"], *right)
        other = compose(*x["clean"], *wrong)
        rows.append([mouth_psnr(made, x), mouth_sharpness(made, x), mouth_psnr(other, x), mouth_psnr(x["clean"][0], x), mouth_psnr(x["clean"][1], x)])
        p = x["target_points"]
        tg.append((p[:, 14, 1] - p[:, 13, 1]) / SCALE)
        a, o = made_gap(right[0], right[1], x)
        mg.append(a)
        mo.append(o)
        ag.append(gap_of(heard))
        hg.append(gap_of(x["mouth"]))
    net.train()
    r = np.mean(rows, 0)
    t = torch.cat(tg)
    return dict(
        psnr=r[0], sharpness=r[1], psnr_other_wish=r[2], psnr_rest=r[3], psnr_open=r[4], r_gap_rest=corr(torch.cat(mg), t),
        r_gap_open=corr(torch.cat(mo), t), r_gap_sound=corr(torch.cat(ag), torch.cat(hg)),
    ), (x, made)


def sheet(path, x, made, n=10):
    """Rows: rest, open, made, true. PPM, so that nothing is needed to write it."""
    rows = [torch.cat(list(t[:n]), 2) for t in (x["clean"][0], x["clean"][1], made.clamp(0, 1), x["target"])]
    p = (torch.cat(rows, 1).permute(1, 2, 0) * 255).byte().cpu().numpy()
    with open(path, "wb") as f:
        f.write(b"P6\n%d %d\n255\n" % (p.shape[1], p.shape[0]) + p.tobytes())


STORY = "synthetic speakers only: %d clips of rendered heads, synthesised voices; no recording of any person"


def keep_state(o, slow, head, meta):
    half = [{k: v.half() if v.dtype.is_floating_point else v for k, v in m.state_dict().items()} for m in (slow, head)]
    path = os.path.join(o.out, "state.pt")
    torch.save({"net": half[0], "head": half[1], "meta": meta}, path + ".tmp")
    os.replace(path + ".tmp", path)


def begin_with(net, head, s):
    """Weights of an earlier run, of an earlier form too: new inputs of a layer begin at 0, new layers as they are."""
    own = net.state_dict()
    for name, w in s["net"].items():
        if name in own and own[name].ndim == 4 and own[name].shape[1] > w.shape[1]:
            w = torch.cat([w, w.new_zeros(w.shape[0], own[name].shape[1] - w.shape[1], *w.shape[2:])], 1)
        if name in own and own[name].shape == w.shape:
            own[name] = w.float()
    net.load_state_dict(own)
    head.load_state_dict(s["head"])


def begin_with_weights(net, t, x):
    """The shipped weights, whose norms are folded in: norms are made again that change nothing on the batch `x`, so that
    training, which goes by each batch's own mean and spread, begins where the weights are."""
    own = net.state_dict()
    for name in own:
        if name in t and own[name].shape == t[name].shape:
            own[name] = torch.from_numpy(t[name].astype("f4"))
    net.load_state_dict(own)
    hooks = []
    for name, unit in net.named_modules():
        if isinstance(unit, Unit):
            bias = torch.from_numpy(t[name + ".conv.bias"].astype("f4")).to(unit.norm.weight.device)

            def hook(norm, args, bias=bias):
                v, m = torch.var_mean(args[0].float(), (0, 2, 3), unbiased=False)
                norm.running_mean.copy_(m)
                norm.running_var.copy_(v)
                norm.weight.data.copy_((v + norm.eps).sqrt())
                norm.bias.data.copy_(m + bias)

            hooks.append(unit.norm.register_forward_pre_hook(hook))
    net.eval()
    with torch.no_grad():
        net.audio(x["mel"])
        net.draw(face_of(x), x["wish"])
    for h in hooks:
        h.remove()
    net.train()


class Step:
    """One step of training: batch, network, losses, weights. Recorded once on a device, then one launch each."""

    def __init__(self, o, said, batcher, net, head, slow, opt, ids, weight):
        self.o, self.said, self.batcher, self.net, self.head, self.opt = o, said, batcher, net, head, opt
        self.ids, self.weight, self.graph = ids, weight, None
        self.told = torch.zeros(5, device=weight.device)
        self.wide = opt.param_groups[0]["params"]
        both = [(p, q) for p, q in zip(slow.state_dict().values(), net.state_dict().values())]
        self.slow = [p for p, _ in both if p.dtype.is_floating_point]
        self.quick = [q for p, q in both if p.dtype.is_floating_point]

    def loss(self):
        o, dev = self.o, self.weight.device
        with torch.no_grad():
            x = self.batcher.batch(o.batch)
            face, w = face_of(x), weight_map(x["target_points"])
            if self.said:
                heard, phone, mouths, weights = self.said.drawn(3 * o.batch)
                mel = disturb_mel(heard)[:, None, :, 16:]
        with torch.autocast(dev.type, dtype=torch.bfloat16, enabled=dev.type == "cuda", cache_enabled=False):
            if self.said:
                e = self.net.audio(mel)
                mouth = self.net.audio.mouth(e).float()
            flow, look = self.net.draw(face, x["wish"])
        a, b = bend(x["clean"][0], flow[:, 0:2]), bend(x["clean"][1], flow[:, 2:4])
        share, g, paint = look[:, 0:1].float(), look[:, 1:2].float(), look[:, 2:5].float()
        bare = a + share * (b - a)
        made = bare + g * (paint - bare)
        picture = picture_loss(made, x["target"], w)
        # Each moment alone should come as near as it can, so that the two do not make a ghost of each other.
        alone = (((a - x["target"]).abs() + (b - x["target"]).abs()) * w).sum() / w.sum() / 6
        points = point_loss(flow, x, self.ids, self.weight)
        sound = picture.new_zeros(())
        if self.said:
            told = self.head(e.float())
            sound = F.mse_loss(mouth, mouths) + 4 * F.mse_loss(told[:, 1:54], weights)
            sound = sound + 0.1 * F.cross_entropy(told[:, 54:], phone)
        crisp = crisp_loss(made, x["target"], w)
        p, q = edges(flow.float())
        smooth = (p**2).mean() + (q**2).mean()
        # Paint that lightens is a veil where it is not sure; darkness behind teeth has to be painted now and then.
        veil = (g * (paint - bare).clamp_min(0).mean(1, keepdim=True) * w).sum() / w.sum()
        price = (g * w).mean() + 8 * (share * (1 - share) * w).mean()
        loss = 10 * picture + o.crisp * crisp + 3 * alone + 0.5 * points + sound + 0.05 * smooth + 0.05 * price + o.veil * veil
        self.told.copy_(torch.stack([loss, picture, points, sound, crisp]).detach())
        return loss

    def step(self):
        self.loss().backward()
        torch.nn.utils.clip_grad_norm_(self.wide, 1.0, foreach=True)
        self.opt.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.slow, self.quick, 1 - self.o.keep)

    def record(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(4):
                self.opt.zero_grad(set_to_none=True)
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        self.opt.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()

    def run(self, rate):
        for group in self.opt.param_groups:
            group["lr"].fill_(rate)
        if self.graph:
            self.graph.replay()
        else:
            self.opt.zero_grad(set_to_none=True)
            self.step()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--shards")
    a.add_argument("--speech")
    a.add_argument("--said", help="shards of small clips the ear learns from; without them it stays as it is")
    a.add_argument("--out", required=True)
    a.add_argument("--fold", help="only turn this state.pt into weights")
    a.add_argument("--hear", type=float, default=0.65, help="--fold: how far mouths go of what the ear says")
    a.add_argument("--ear", help="--fold: weights whose ear is taken")
    a.add_argument("--mean", help="--fold: weights of an earlier run, of whose hand and the state's the mean is taken")
    a.add_argument("--seconds", type=float, default=280)
    a.add_argument("--batch", type=int, default=192)
    a.add_argument("--room", type=int, default=60000, help="frames kept on the device")
    a.add_argument("--wait", type=int, default=8, help="clips to wait for before the first step")
    a.add_argument("--lr", type=float, default=1.5e-3)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--keep", type=float, default=0.995, help="of the weights' running mean, a step")
    a.add_argument("--start", default=None, help="state.pt of an earlier run, or the shipped weights")
    a.add_argument("--begin", type=float, help="when the clock began, seconds of the epoch; usually now")
    a.add_argument("--share", type=float, default=0.3, help="of the device's memory, at most")
    a.add_argument("--crisp", type=float, default=10, help="what missing sharpness costs")
    a.add_argument("--veil", type=float, default=3, help="what light paint costs")
    a.add_argument("--eager", action="store_true", help="do not record a step as one launch")
    o = a.parse_args()
    begin = o.begin or time.time()
    os.makedirs(o.out, exist_ok=True)
    if o.fold:
        s = torch.load(o.fold, map_location="cpu")
        net = Network()
        net.load_state_dict(s["net"])
        out = folded(net)
        for name in [n for n in out if n.startswith("audio.mouth.")]:
            out[name] = out[name] * o.hear  # a voice it does not know is heard less surely than those it learned
        for name, v in read_safetensors(o.mean).items() if o.mean else ():
            out[name] = 0.5 * (out[name].half().float() + torch.from_numpy(v.astype("f4")))
        if o.ear:
            out.update({n: torch.from_numpy(v.copy()) for n, v in read_safetensors(o.ear).items() if n.startswith("audio.")})
        write_safetensors(os.path.join(o.out, "wav2lip_embedded.safetensors"), out, s["meta"])
        return
    dev = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(o.seed)
    if dev.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(o.share)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    speech = Speech(o.speech, dev)
    said = Said(o.said, speech, dev) if o.said else None
    clips = Clips(o.shards, dev, o.room)
    clips.poll()
    clips.watch()
    net = Network().to(dev).to(memory_format=torch.channels_last)
    head = torch.nn.Linear(256, 54 + 64).to(dev)  # lip gap, weights; phones
    if o.start and o.start.endswith(".pt"):
        begin_with(net, head, torch.load(o.start, map_location=dev))
    if not said:
        for q in list(net.audio.parameters()) + list(head.parameters()):
            q.requires_grad_(False)
    wide = [q for q in list(net.parameters()) + list(head.parameters()) if q.requires_grad]
    fast = {"fused": True, "capturable": True} if dev.type == "cuda" else {}
    opt = torch.optim.AdamW(wide, lr=torch.tensor(o.lr, device=dev), betas=(0.9, 0.99), weight_decay=0.01, **fast)
    while (clips.n[0] < o.wait or clips.n[1] < 1) and time.time() - begin < o.seconds:
        time.sleep(0.2)
    batcher = Batcher(clips, speech, dev)
    if o.start and o.start.endswith(".safetensors"):
        begin_with_weights(net, read_safetensors(o.start), batcher.batch(min(o.batch, 128), disturb=False))
    slow = copy.deepcopy(net).eval()
    log = open(os.path.join(o.out, "curve.csv"), "w", newline="")
    out = csv.writer(log)
    out.writerow(["s", "step", "clips", "loss", "picture", "points", "sound", "crisp", "psnr", "sharpness", "psnr_other_wish",
                  "psnr_rest", "psnr_open", "r_gap_rest", "r_gap_open", "r_gap_sound"])
    ids = lower_points(batcher.batch(min(o.batch, 64), disturb=False)["target_points"])
    lips = torch.zeros(478, device=dev)
    lips[OUTER + INNER] = 3
    step = Step(o, said, batcher, net, head, slow, opt, ids, (1 + lips)[ids])
    if dev.type == "cuda" and not o.eager:
        try:
            with clips.lock:  # nothing else may speak to the device while it is recorded
                step.record()
            for _ in range(30):
                step.run(o.lr * 0.1)
            if not all(math.isfinite(v) and v < 50 for v in step.told.tolist()):
                raise RuntimeError("the recorded step gives " + str(step.told.tolist()))
        except Exception as e:
            print("not recorded:", e, flush=True)
            os.execv(sys.executable, [sys.executable] + sys.argv + ["--eager", "--begin", str(begin)])
    print("ready after %.1f s" % (time.time() - begin), flush=True)
    n, last, t0, on = 0, time.time(), time.time(), dev.type == "cuda"
    while True:
        share = (time.time() - begin) / o.seconds
        if share >= 1:
            break
        step.run(o.lr * min(1, (n + 1) / 100) * (0.5 * (1 + math.cos(math.pi * share)) + 0.01))
        n += 1
        if on and n % 8 == 0:
            torch.cuda.synchronize()  # the clock must see what was done
        if time.time() - last > max(5, o.seconds / 7) or n == 1:
            last = time.time()
            keep_state(o, slow, head, {"trained_on": STORY % sum(clips.n), "steps": str(n)})
            figures, seen = judge(slow, head, batcher, n=1, b=128 if on else 16)
            row = [round(time.time() - begin, 1), n, sum(clips.n)] + [round(k, 4) for k in step.told.tolist()]
            row += [round(k, 4) for k in figures.values()]
            out.writerow(row)
            log.flush()
            print(*row, f"{n * o.batch / (time.time() - t0):.0f}/s", flush=True)
    clips.stop = True
    keep_state(o, slow, head, {"trained_on": STORY % sum(clips.n), "steps": str(n)})
    figures, seen = judge(slow, head, batcher, n=4 if on else 1, b=128 if on else 16)
    sheet(os.path.join(o.out, "sheet.ppm"), *seen)
    print("held-out persons:", json.dumps({k: round(v, 4) for k, v in figures.items()}), flush=True)
    meta = {
        "network": "wav2lip:embedded", "version": "1", "trained_on": STORY % sum(clips.n), "steps": str(n),
        "held_out": json.dumps({k: round(v, 4) for k, v in figures.items()}),
    }
    keep_state(o, slow, head, meta)
    write_safetensors(os.path.join(o.out, "wav2lip_embedded.safetensors"), folded(slow), meta)


if __name__ == "__main__":
    main()
