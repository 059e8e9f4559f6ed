"""Teach the network of src/speech/sounds.c: train.py DATA.npz SECONDS OUT_FOLDER. Noise, music, other voices and echo are
added to the powers of the bands, anew for every batch."""
import sys
import time

import numpy as np
import torch

BANDS, AROUND, STEP, FRAMES, BATCH, HIDDEN = 24, 7, 2, 1200, 64, 128
torch.manual_seed(1)
dev = 'cuda' if torch.cuda.is_available() else 'cpu'
data = np.load(sys.argv[1])


def unpack(q):
    return torch.exp(torch.from_numpy(q.astype(np.float32) * float(np.log(10) / 10) - 23).to(dev))


power, white, music = unpack(data['q']), unpack(data['white']), unpack(data['mus'])
label = torch.from_numpy(data['lab'].astype(np.int64)).to(dev)
films = torch.from_numpy(data['off'].astype(np.int64)).to(dev)
centre = torch.from_numpy(data['cf'].astype(np.float32)).to(dev)
held = torch.arange(0, len(films), 25, device=dev)
taught = torch.tensor([i for i in range(len(films)) if i % 25], device=dev)
ramp = torch.arange(FRAMES, device=dev)
taps = (ramp[:, None] + torch.arange(-AROUND, AROUND + 1, device=dev)[None] * STEP).clamp(0, FRAMES - 1)


def uniform(lo, hi):
    return lo + (hi - lo) * torch.rand(BATCH, device=dev)


def places(film, start):
    return films[film, 0][:, None] + (ramp[None] + start[:, None]) % films[film, 1][:, None]


def curve(points, spread):
    """A smooth random course over the bands, natural logarithm."""
    z = torch.randn(BATCH, 1, points, device=dev) * spread
    return torch.nn.functional.interpolate(z, size=BANDS, mode='linear', align_corners=True)


def add(x, noise, loud, snr):
    noise = noise * (loud / noise.sum(2).mean(1) * 10 ** (-snr / 10))[:, None, None]
    return x + noise + 2 * torch.sqrt((x * noise).clamp(min=0)) * (0.3 * torch.randn_like(x)).clamp(-0.6, 0.6)


def echo(s):
    t = torch.arange(256, device=dev) * 0.005
    rt, ratio = uniform(0.25, 0.8), uniform(6, 25)
    h = torch.exp(-13.8 * t[None] / rt[:, None]) * (t[None] < 1.2 * rt[:, None])
    h[:, 0] = 0
    h = h / h.sum(1, keepdim=True)
    late = torch.fft.irfft(torch.fft.rfft(s, n=2048, dim=1) * torch.fft.rfft(h, n=2048, dim=1)[:, :, None], n=2048, dim=1)
    late = late[:, :FRAMES].clamp(min=0) * 10 ** (-ratio / 10)[:, None, None]
    return late * torch._standard_gamma(torch.full(late.shape, 3.0, device=dev)) / 3


def hiss():
    kind = torch.randint(4, (BATCH, 1, 1), device=dev)
    room = 1 / (1 + (centre / 600) ** 2) + 0.003
    shape = torch.where(kind == 0, torch.ones_like(centre), torch.where(kind == 1, 1 / centre, torch.where(
        kind == 2, room, torch.exp(curve(5, 1.5)))))
    return white[(torch.randint(len(white), (BATCH, 1), device=dev) + ramp[None]) % len(white)] * shape


def babble(like):
    out = torch.zeros_like(like)
    for k in range(7):
        film = taught[torch.randint(len(taught), (BATCH,), device=dev)]
        on = (torch.rand(BATCH, device=dev) < (1 if k < 2 else 0.6)).float() * torch.exp(0.4 * torch.randn(BATCH, device=dev))
        out += power[places(film, (torch.rand(BATCH, device=dev) * films[film, 1]).long())] * on[:, None, None]
    return out


def batch(pool):
    film = pool[torch.randint(len(pool), (BATCH,), device=dev)]
    at = places(film, torch.zeros(BATCH, dtype=torch.long, device=dev))
    s, y = power[at], label[at]
    level = s.sum(2)
    spoken = level > 0.1 * level.mean(1, keepdim=True)
    loud = (level * spoken).sum(1) / spoken.sum(1).clamp(min=1)
    kind = torch.randint(8, (BATCH,), device=dev)  # quiet, three of noise, babble, music, two of echo
    x = s + echo(s) * (kind >= 6)[:, None, None]
    lo = torch.tensor([35, 4, 4, 4, 35, 35, 18, 18.], device=dev)[kind]
    hi = torch.tensor([60, 35, 35, 35, 55, 55, 45, 45.], device=dev)[kind]
    x = add(x, hiss(), loud, lo + (hi - lo) * torch.rand(BATCH, device=dev))
    piece = torch.randint(len(music), (BATCH, 1), device=dev)
    start = torch.randint(music.shape[1], (BATCH, 1), device=dev)
    other = torch.where((kind == 4)[:, None, None], babble(s), music[piece, (start + ramp[None]) % music.shape[1]])
    x = torch.where(((kind == 4) | (kind == 5))[:, None, None], add(x, other, loud, uniform(5, 30)), x)
    x = x * torch.exp(curve(4, 0.5))  # the microphone
    logs = torch.log(x.clamp(min=1e-9))
    top = torch.quantile(logs.amax(2), 0.95, dim=1)
    logs = ((logs - top[:, None, None]) / 4).clamp(min=-4)
    floor = torch.quantile(logs[:, ::4], 0.1, dim=1)
    f = torch.cat([logs[:, taps].reshape(BATCH, FRAMES, -1), floor[:, None].expand(BATCH, FRAMES, BANDS)], 2)
    return f.reshape(BATCH * FRAMES, -1), y.reshape(-1)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(BANDS * (2 * AROUND + 1) + BANDS, HIDDEN)
        self.b = torch.nn.Linear(HIDDEN, HIDDEN)
        self.c = torch.nn.Linear(HIDDEN, 41)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


net, seconds, start, step = Net().to(dev), float(sys.argv[2]), time.time(), 0
optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3)
while time.time() - start < seconds:
    for group in optimiser.param_groups:
        group['lr'] = 2e-3 * max(0.02, 1 - (time.time() - start) / seconds)
    with torch.no_grad():
        x, y = batch(taught)
    o = net(x)
    loss = torch.nn.functional.cross_entropy(o, y, label_smoothing=0.02)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    step += 1
    if step % 200 == 0:
        print(step, f'loss {loss.item():.3f}, right {(o.argmax(1) == y).float().mean().item():.3f}', flush=True)
with torch.no_grad():
    right = [(net(x).argmax(1) == y).float().mean().item() for x, y in (batch(held) for _ in range(10))]
print('steps', step, 'right on films held out', np.mean(right))
np.savez(f'{sys.argv[3]}/net.npz', **{k: v.cpu().numpy() for k, v in net.state_dict().items()})
