#!/usr/bin/env python3
"""A small LatentSync UNet trained as the published one is: noise prediction on windows of 16 frames, half of the noise shared by all frames, the mouth
hidden by the mask, another moment of the same film as reference, the sound left out for one window in ten. The result is a fixture for tests of the
sampler: a network whose trajectories are those of a real diffusion model.

  train.py WINDOWS.npz OUT_DIR [SECONDS [WEIGHTS.npz]]    weights.npz, curve.csv; goes on from WEIGHTS; needs bench/nn_torch.py (its modules) and,
                                                          to be of use, a GPU. EAGER=1: no CUDA graph of a step"""
import math, os, sys, time
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
from nn_torch import Mod, Motion, Resnet, Transformer, conv3, over_frames

CHANNELS, GROUPS, HEADS, CROSS, LAYERS, ATTENTION = (32, 32, 32, 32), 8, 2, 24, 1, (True, True, False, False)
FRAMES, SIDE, BATCH, HELD_OUT = 16, 16, int(os.environ.get("BATCH", 12)), 8


class UNet(nn.Module):
    """pz_sd_unet() with the configuration above: the same names."""

    def __init__(self):
        super().__init__()
        ch, t = CHANNELS, 4 * CHANNELS[0]
        self.time_embedding = Mod(linear_1=nn.Linear(ch[0], t), linear_2=nn.Linear(t, t))
        self.conv_in = conv3(13, ch[0])

        def block(ins, o, attention, **more):
            kids = dict(resnets=nn.ModuleList([Resnet(k, o, GROUPS, 1e-5, t) for k in ins]))
            if attention:
                kids["attentions"] = nn.ModuleList([Transformer(o, CROSS, HEADS, GROUPS) for _ in ins])
            kids["motion_modules"] = nn.ModuleList([Motion(o, HEADS) for _ in ins])
            return Mod(**kids, **more)

        self.down_blocks, skips, c = nn.ModuleList(), [ch[0]], ch[0]
        for k, o in enumerate(ch):
            more = {} if k == 3 else dict(downsamplers=nn.ModuleList([Mod(conv=conv3(o, o, 2))]))
            self.down_blocks.append(block([c] + [o] * (LAYERS - 1), o, ATTENTION[k], **more))
            skips += [o] * LAYERS + ([] if k == 3 else [o])
            c = o
        self.mid_block = Mod(resnets=nn.ModuleList([Resnet(c, c, GROUPS, 1e-5, t) for _ in range(2)]),
                             attentions=nn.ModuleList([Transformer(c, CROSS, HEADS, GROUPS)]))
        self.up_blocks = nn.ModuleList()
        for k, o in enumerate(reversed(ch)):
            ins = []
            for _ in range(LAYERS + 1):
                ins.append(c + skips.pop())
                c = o
            more = {} if k == 3 else dict(upsamplers=nn.ModuleList([Mod(conv=conv3(o, o))]))
            self.up_blocks.append(block(ins, o, ATTENTION[3 - k], **more))
        self.conv_norm_out, self.conv_out = nn.GroupNorm(GROUPS, c, 1e-5), conv3(c, 4)

    def layer(self, b, k, x, t, ctx):
        x = b.resnets[k](x, t, FRAMES)
        if hasattr(b, "attentions"):
            x = b.attentions[k](x, ctx)
        return b.motion_modules[k](x, FRAMES)

    def forward(self, x, ctx, time):
        """x [b*16,13,h,w], ctx [b*16,10,24], time [b,C0]; timesteps may differ from window to window."""
        t = self.time_embedding.linear_2(F.silu(self.time_embedding.linear_1(time))).repeat_interleave(FRAMES, 0)
        x = self.conv_in(x)
        skips = [x]
        for b in self.down_blocks:
            for k in range(LAYERS):
                x = self.layer(b, k, x, t, ctx)
                skips.append(x)
            if hasattr(b, "downsamplers"):
                x = b.downsamplers[0].conv(x)
                skips.append(x)
        m = self.mid_block
        x = m.resnets[1](m.attentions[0](m.resnets[0](x, t, FRAMES), ctx), t, FRAMES)
        for b in self.up_blocks:
            for k in range(LAYERS + 1):
                x = self.layer(b, k, torch.cat([x, skips.pop()], 1), t, ctx)
            if hasattr(b, "upsamplers"):
                x = b.upsamplers[0].conv(F.interpolate(x, scale_factor=2.0))
        return self.conv_out(F.silu(over_frames(self.conv_norm_out, x, FRAMES)))


def embed(t):
    """Time embedding, cos first; t [b] float."""
    n = CHANNELS[0] // 2
    a = t[:, None] * torch.exp(torch.arange(n, device=t.device) * (-math.log(10000.0) / n))
    return torch.cat([a.cos(), a.sin()], 1)


def mask(device):
    """1 = kept: below the nose, and beside it from a little higher on, as LatentSync's."""
    m = torch.ones(SIDE, SIDE, device=device)
    m[8:, 1:15] = 0
    m[6:8, 1:5] = m[6:8, 11:15] = 0
    m[13:, 1:3] = m[13:, 13:15] = 1
    m[15] = 1
    return m


class Data:
    def __init__(self, path, device):
        d = np.load(path)
        self.latent = torch.tensor(d["latent"] / 24.0, dtype=torch.float32, device=device).view(-1, SIDE, SIDE, 4).permute(0, 3, 1, 2).contiguous()
        self.sound = torch.tensor(d["sound"].astype(np.float32), device=device)
        film = d["film"]
        first = np.array([i for i in range(len(film) - FRAMES + 1) if film[i] == film[i + FRAMES - 1]])
        held = film[first] % HELD_OUT == HELD_OUT - 1
        begin = {f: np.flatnonzero(film == f)[0] for f in np.unique(film)}
        room = {f: int((film == f).sum()) - FRAMES + 1 for f in begin}
        put = lambda a: torch.tensor(np.asarray(a), dtype=torch.int64, device=device)
        self.sets = [(put(first[k]), put([begin[film[i]] for i in first[k]]), put([room[film[i]] for i in first[k]])) for k in (~held, held)]
        self.frames = torch.arange(FRAMES, device=device)

    def draw(self, held, n):
        first, begin, room = self.sets[held]
        k = torch.randint(len(first), (n,), device=first.device)
        other = begin[k] + (torch.rand(n, device=first.device) * room[k]).long()
        at, ref = (first[k][:, None] + self.frames).flatten(), (other[:, None] + self.frames).flatten()
        return self.latent[at], self.latent[ref], self.sound[at]


def loss_of(net, data, alpha, m, held, n):
    """Mean square error of the noise, most of it where it is repainted."""
    dev = m.device
    z, ref, sound = data.draw(held, n)
    t = torch.randint(1000, (n,), device=dev)
    a = alpha[t].repeat_interleave(FRAMES)[:, None, None, None]
    # As published, half of the noise is shared by the frames; in every second window all of it is, as when films are made.
    shared = torch.randn(n, 4, SIDE, SIDE, device=dev).repeat_interleave(FRAMES, 0)
    whole = (torch.arange(n, device=dev) % 2).repeat_interleave(FRAMES)[:, None, None, None]
    e = torch.where(whole == 1, shared, (shared + torch.randn_like(z)) * math.sqrt(0.5))
    heard = sound * (torch.rand(n, device=dev) > 0.1).float().repeat_interleave(FRAMES)[:, None, None]
    x = torch.cat([a.sqrt() * z + (1 - a).sqrt() * e, m.expand(n * FRAMES, 1, -1, -1), z * m, ref], 1)
    with torch.autocast(dev.type, torch.bfloat16, enabled=dev.type == "cuda", cache_enabled=False):
        made = net(x, heard, embed(t.float()))
    d = (made.float() - e) ** 2
    return (d * (1.5 - m)).mean()


def main():
    path, out, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 100
    dev = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    net, data, m = UNet().to(dev), Data(path, dev), mask(dev)
    for k, v in net.named_modules():  # what is added to a residual path starts at nothing
        if k.endswith(("temporal_transformer",)):
            nn.init.zeros_(v.proj_out.weight), nn.init.zeros_(v.proj_out.bias)
    if len(sys.argv) > 4:
        net.load_state_dict({k: torch.from_numpy(v) for k, v in np.load(sys.argv[4]).items()})
    beta = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2
    alpha = torch.cumprod(1 - beta, 0).float().to(dev)
    print("parameters", sum(p.numel() for p in net.parameters()), "windows", [len(s[0]) for s in data.sets], flush=True)
    rate = torch.tensor(1e-3, device=dev)
    opt = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-4, capturable=dev == "cuda", fused=dev == "cuda")
    params = list(net.parameters())
    slow = [p.detach().clone() for p in params]
    seen = torch.zeros((), device=dev)

    def step():
        opt.zero_grad(set_to_none=False)
        loss = loss_of(net, data, alpha, m, 0, BATCH)
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
        opt.step()
        with torch.no_grad():
            torch._foreach_lerp_(slow, params, 0.002)
            seen.copy_(loss)

    # Seconds count while it runs: a pause of the process (SIGSTOP, to leave a machine to others) is no training.
    steps, gone, last, curve = 0, 0.0, time.time(), []
    run = step
    if dev == "cuda" and not os.environ.get("EAGER"):
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(4):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay
    while gone < seconds and not os.path.exists(f"{out}/stop"):
        rate.fill_(1.5e-3 * min(1, (steps + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * min(gone / seconds, 1))) + 1e-6)
        run()
        steps += 1
        if steps % 50 == 0 or dev == "cpu":
            loss = float(seen)
            now = time.time()
            gone, last = gone + min(now - last, 5.0), now
            curve.append((steps, gone, loss))
            if steps % 500 == 0:
                print(steps, "%.1f s" % gone, "loss %.4f" % np.mean([c[2] for c in curve[-10:]]), flush=True)
                names = [k for k, _ in net.named_parameters()]
                state = {k: v.cpu().numpy() for k, v in net.state_dict().items()}
                state.update({k: v.cpu().numpy() for k, v in zip(names, slow)})
                np.savez(f"{out}/weights.npz", **state)
    with torch.no_grad():
        for p, s in zip(params, slow):
            p.copy_(s)
        torch.manual_seed(2)
        ends = [np.mean([float(loss_of(net, data, alpha, m, k, BATCH)) for _ in range(40 if dev == "cuda" else 1)]) for k in (0, 1)]
    print("steps", steps, "loss of seen and held-out people", *("%.4f" % e for e in ends))
    os.makedirs(out, exist_ok=True)
    np.savez(f"{out}/weights.npz", **{k: v.cpu().numpy() for k, v in net.state_dict().items()})
    np.savetxt(f"{out}/curve.csv", curve, fmt="%.5g", delimiter=",", header="step,seconds,loss")


if __name__ == "__main__":
    main()
