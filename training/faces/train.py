"""Trains the three face networks on shards that a generator writes meanwhile. Recipe and figures: README.md.

Usage: train.py --shards DIR --held DIR --out DIR --seconds S [--resume FILE] [--cache N] [--batch B] [--device cuda]
"""
import argparse
import csv
import json
import math
import os
import threading
import time

import numpy as np
import torch

import augment
import data
import nets
import tasks

ATTRIBUTES = ("beard glasses profile dark occluded hat open_mouth").split()


class Ema:
    def __init__(self, model, make):
        self.model, self.shadow = model, make().to(next(model.parameters()).device).eval()
        self.shadow.load_state_dict(model.state_dict())
        self.pairs = [(a, b) for a, b in zip(self.shadow.state_dict().values(), model.state_dict().values()) if a.is_floating_point()]
        self.a, self.b = [a for a, _ in self.pairs], [b for _, b in self.pairs]

    def step(self, k):
        with torch.no_grad():
            torch._foreach_lerp_(self.a, self.b, 1 - k)


class Step:
    """One optimisation step on static inputs; on a GPU replayed as a CUDA graph, which needs no launches by Python."""

    def __init__(self, params, opt, forward, lock, graph):
        self.params, self.opt, self.forward, self.lock = params, opt, forward, lock
        self.static, self.graph, self.out, self.n, self.want = None, None, None, 0, graph

    def again(self, graph):
        self.static, self.graph, self.n, self.want = None, None, 0, graph

    def body(self):
        self.opt.zero_grad(set_to_none=True)
        loss, parts = self.forward(self.static)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.params, 5.0)
        self.opt.step()
        return torch.stack([v.detach() for v in parts.values()])

    def __call__(self, batch):
        if self.static is None:
            self.static = {k: v.clone() for k, v in batch.items()}
        else:
            for k, v in self.static.items():
                v.copy_(batch[k])
        if self.graph:
            self.graph.replay()
            return self.out
        self.n += 1
        if not self.want or self.n < 4:
            if not self.want:
                return self.body()
            s = torch.cuda.Stream()  # the first steps on a side stream, as capturing asks
            s.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(s):
                out = self.body()
            torch.cuda.current_stream().wait_stream(s)
            return out
        try:
            with self.lock:
                torch.cuda.synchronize()
                g = torch.cuda.CUDAGraph()
                self.opt.zero_grad(set_to_none=True)
                with torch.cuda.graph(g, capture_error_mode="thread_local"):
                    self.out = self.body()
                torch.cuda.synchronize()
            self.graph = g
            g.replay()
            print("captured", flush=True)
            return self.out
        except Exception as e:
            print("not captured:", repr(e)[:300], flush=True)
            self.want = False
            torch.cuda.synchronize()
            return self.body()


def groups(*models):
    yes, no = [], []
    for m in models:
        for p in m.parameters():
            (yes if p.dim() > 1 else no).append(p)
    return [{"params": yes, "weight_decay": 0.02}, {"params": no, "weight_decay": 0.0}]


def attribute_names(a):
    """From the generator's list when it is there, else the usual order."""
    if a.attributes:
        return a.attributes.split(",")
    return ATTRIBUTES


def bytes_of(x):
    return ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shards", required=True)
    p.add_argument("--held", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--seconds", type=float, required=True)
    p.add_argument("--resume")
    p.add_argument("--cache", type=int, default=150000)
    p.add_argument("--held-cache", type=int, default=4096)
    p.add_argument("--first", type=int, default=4000, help="pictures to wait for")
    p.add_argument("--batch", type=int, default=384)
    p.add_argument("--det-batch", type=int, default=192)
    p.add_argument("--det-every", type=float, default=2.0, help="landmark steps to a detector step")
    p.add_argument("--eager", action="store_true", help="no CUDA graphs")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--attributes", default="")
    p.add_argument("--keep", action="store_true", help="do not delete shards that were read")
    p.add_argument("--device", default="cuda")
    a = p.parse_args()
    t_start = time.time()
    dev = torch.device(a.device)
    cuda = dev.type == "cuda"
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    if cuda:
        torch.backends.cudnn.benchmark = False  # trying algorithms cost 20 s of the first run
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    cut, aug = data.Cutter(dev), augment.Augment(dev)
    cache, held = data.Cache(a.cache, dev), data.Cache(a.held_cache, dev)
    stop = threading.Event()
    threads = [cache.follow(a.shards, stop, not a.keep), held.follow(a.held, stop, False)]
    net = {k: make().to(dev, memory_format=torch.channels_last) for k, make in nets.NETS.items()}
    if a.resume:
        for k, s in torch.load(a.resume, map_location=dev, weights_only=True).items():
            net[k].load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in s.items()})
    ema = {k: Ema(m, nets.NETS[k]) for k, m in net.items()}
    lm, pa, de = net["face_landmarks"], net["face_parts"], net["face_detector"]
    rate = lambda: torch.tensor(a.lr, device=dev) if cuda else a.lr
    opt = torch.optim.AdamW(groups(lm, pa), lr=rate(), betas=(0.9, 0.99), fused=cuda, capturable=cuda)
    dopt = torch.optim.AdamW(groups(de), lr=rate(), betas=(0.9, 0.99), fused=cuda, capturable=cuda)
    T, D = tasks.Landmarks(cache, cut, aug), tasks.Detection(cache, cut, aug)
    while cache.n < a.first and time.time() - t_start < 0.5 * a.seconds:
        time.sleep(0.2)
    t0 = time.time()
    end = t_start + a.seconds
    print("waited %.1f s, %d pictures" % (t0 - t_start, cache.n), flush=True)
    if not a.resume:  # the mean face as the start of the last layer
        with torch.no_grad():
            torch.manual_seed(5)
            b = cut.cut(cache, torch.randint(0, cache.n, (min(512, cache.n),), device=dev), 0.0)
            lm.fc2.bias[:2048].view(512, 4)[:, :3] = b["pts"].mean(0)
            ema["face_landmarks"].step(0)
    log = open(os.path.join(a.out, "curve.csv"), "w", newline="")
    out_csv = csv.writer(log)
    names = ["points", "z", "nll", "gap", "place", "weights", "rotation", "presence", "parts"]
    out_csv.writerow(["seconds", "step", "samples", "pictures", "lr"] + names + ["det_step", "focal", "giou", "five"])
    step = dstep = 0
    sums, dsums, nsum, ndsum = None, None, 0, 0
    next_log, next_save = t0 + 5, t0 + 30
    am = lambda: torch.autocast(dev.type, torch.bfloat16, enabled=cuda, cache_enabled=False)

    def forward(b):
        with am():
            out, f = lm(b["x"].contiguous(memory_format=torch.channels_last))
            lg = pa(f)
        return T.loss(out.float(), lg, b)

    def dforward(b):
        with am():
            outs = de(b["x"].contiguous(memory_format=torch.channels_last))
        return D.loss([o.float() for o in outs], b)
    def restart(eager):
        """Networks, averages and optimisers as at the start, after recorded steps that went wrong."""
        if a.resume:
            for k, st in torch.load(a.resume, map_location=dev, weights_only=True).items():
                net[k].load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in st.items()})
        for k in net:
            ema[k].shadow.load_state_dict(net[k].state_dict())
        for o in (opt, dopt):
            o.state.clear()
        lm_step.again(not eager)
        de_step.again(not eager)

    lm_step = Step([q for g in opt.param_groups for q in g["params"]], opt, forward, cache.lock, cuda and not a.eager)
    de_step = Step(list(de.parameters()), dopt, dforward, cache.lock, cuda and not a.eager)

    def write(final=False):
        for k in net:
            nets.save(ema[k].shadow, os.path.join(a.out, k + ".safetensors"),
                      {"seed": a.seed, "steps": dstep if k == "face_detector" else step, "pictures": cache.seen})
        torch.save({k: {n: v.half() if v.dim() > 1 else v for n, v in ema[k].shadow.state_dict().items()} for k in net},
                   os.path.join(a.out, "resume.pt"))

    reserve = 12 if cuda else 5
    while time.time() < end - reserve:
        now = time.time()
        frac = min(1.0, (now - t0) / max(1.0, end - reserve - t0))
        lr = a.lr * min(1.0, (now - t0) / max(1.0, 0.03 * (end - t0)) + 0.02) * (0.5 + 0.5 * math.cos(math.pi * frac)) + 1e-5
        for o in (opt, dopt):
            for g in o.param_groups:
                if cuda:
                    g["lr"].fill_(lr)
                else:
                    g["lr"] = lr
        keep = 0.998 if a.resume else min(0.998, 1 - 1.0 / (step / 8 + 2))
        v = lm_step(T.batch(a.batch)).clone()
        ema["face_landmarks"].step(keep)
        ema["face_parts"].step(keep)
        sums = v if sums is None else sums + v
        nsum += 1
        step += 1
        while dstep < step / a.det_every:
            u = de_step(D.batch(a.det_batch)).clone()
            ema["face_detector"].step(keep)
            dsums = u if dsums is None else dsums + u
            ndsum += 1
            dstep += 1
        if step <= 3:
            first = v if step == 1 else first + v
        if step == 12 and lm_step.graph is not None:
            mark = lm.fc1.weight.detach().clone()
        if step == 40 and lm_step.graph is not None:  # do recorded steps learn as plain ones do?
            now, was = v.tolist(), (first / 3).tolist()
            moved = float((lm.fc1.weight - mark).abs().mean())
            good = all(math.isfinite(q) for q in now) and now[0] < 1.6 * was[0] + 1 and moved > 1e-7
            print("recorded steps: points %.2f, at first %.2f, weights moved %.2e: %s" % (now[0], was[0], moved, "good" if good else "BACK TO PLAIN"), flush=True)
            if not good:
                restart(True)
                sums, nsum = None, 0
                continue
        if step in (50, 400) and cuda:
            for key, fn in (("landmark batch", lambda: T.batch(a.batch)), ("detector batch", lambda: D.batch(a.det_batch)),
                            ("landmark step", lambda: lm_step(lm_step.static))):
                torch.cuda.synchronize()
                t = time.time()
                fn()
                t1 = time.time()
                torch.cuda.synchronize()
                print("%s %.1f ms, of that launching %.1f" % (key, 1e3 * (time.time() - t), 1e3 * (t1 - t)), flush=True)
        if time.time() > next_log:
            s = (sums / nsum).tolist()
            d = (dsums / max(ndsum, 1)).tolist() if dsums is not None else [0, 0, 0]
            t = time.time() - t0
            out_csv.writerow(["%.1f" % t, step, step * a.batch, cache.seen, "%.2e" % lr] + ["%.4f" % q for q in s] + [dstep] + ["%.4f" % q for q in d])
            log.flush()
            if int(t) % 20 < 5 or not cuda:
                print("%.0f s step %d (%.0f/s) pictures %d bad %d | " % (t, step, step * a.batch / t, cache.seen, cache.bad) +
                      " ".join("%s %.3f" % q for q in zip(names, s)) + " | det %d focal %.3f giou %.3f five %.3f" % (dstep, *d), flush=True)
            sums = dsums = None
            nsum = ndsum = 0
            next_log = time.time() + 5
            if not all(math.isfinite(q) for q in s):
                print("not finite: from the start again, plainly", flush=True)
                restart(True)
        if time.time() > next_save and all(math.isfinite(q) for q in v.tolist()):
            write()
            next_save = time.time() + 30
    write(True)
    np.savez_compressed(os.path.join(a.out, "batch.npz"), landmarks=bytes_of(T.batch(20)["x"]), detector=bytes_of(D.batch(20)["x"]),
                        pictures=cache.t["image"][torch.randint(0, cache.n, (16,), device=dev)].cpu().numpy())
    stop.set()
    for t in threads:
        t.join(5)
    # Figures of the files as written, on people that were never trained on.
    fl = {k: nets.load(k, os.path.join(a.out, k + ".safetensors")).to(dev) for k in net}
    fig = T.evaluate(fl["face_landmarks"], fl["face_parts"], held, attribute_names(a))
    fig["detector"] = D.evaluate(fl["face_detector"], held, 512 if cuda else 64, 128 if cuda else 16)
    fig["run"] = {"steps": step, "samples": step * a.batch, "pictures": cache.seen, "held": held.n, "detector_steps": dstep,
                  "seconds": time.time() - t_start, "batch": a.batch, "lr": a.lr, "seed": a.seed}
    json.dump(fig, open(os.path.join(a.out, "figures.json"), "w"), indent=1)
    print(json.dumps({k: fig[k] for k in ("all", "detector", "run")}), flush=True)
    for k in fig:
        if isinstance(fig[k], dict) and "face" in fig[k]:
            print("%-10s n %5d face %.2f inner lips %.2f lids %.2f gap %.2f degrees %.2f presence %.3f" % (
                k, fig[k]["n"], fig[k]["face"], fig[k]["inner_lips"], fig[k]["lids"], fig[k]["gap_error"], fig[k]["degrees"], fig[k]["presence"]))


if __name__ == "__main__":
    main()
