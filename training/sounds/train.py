"""Teach the network of src/speech/sounds.c: train.py SECONDS OUT.npz VOICES.npz[+VOICES.npz] FOLDER [FROM.npz]

FOLDER: what sounds_say wrote; FROM: goes on with that network. Everything but the films is made anew on the device: size
of the head and pitch (resampling), an accent (every phone of a film gets formants and a colour of its own), breath,
microphones and rooms (one smooth filter and a tail of echoes), noises of all colours, music, other people. What was made
waits as spectra in a pool and is met about three times, each time with another throat (bands warped) and pace."""
import glob
import multiprocessing
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

BANDS, FRAMES, HOP, FFT, WINDOW, PHONES = 32, 1200, 80, 512, 400, 41
WIDTH = int(os.environ.get('WIDTH', 256))
DILATIONS, TAPS, FIRST = (1, 2, 4, 8, 16, 1, 4, 16, 2), 7, 5
SPAN, SPREAD, UNKNOWN, LOSE = 30, 1.0, 126, 0.15
BATCH, POOL, EVERY = (int(os.environ.get(k, v)) for k, v in (('BATCH', 64), ('POOL', 4096), ('EVERY', 3)))
# How much is heard of whom: by the voice's name or by how it begins.
SHARE = {'rms': 9.0, 'kal16': 3.5, 'ked_diphone': 5.0, 'kal_diphone': 1.0, 'rh_English': 12.0, 'rh_Russian': 1.5, 'rh_': 0.7, 'ast_en': 6.0,
         'ast_': 0.4, 'pico_en-US': 2.5, 'pico_en-GB': 1.0, 'pico_': 0.2, 'st_en': 0.7, 'st_': 0.4, 'lv': 0.7, 'es_': 0.35,
         '': 0.6}
RATE, SAMPLES, CROWDS = 16000, FRAMES * HOP, max(1, BATCH // 4)
torch.manual_seed(int(os.environ.get('SEED', 1)))
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
dev = 'cuda' if torch.cuda.is_available() else 'cpu'


def music(seed):
    """12 s: chords, tunes and basses of harmonics that die away or stay, with vibrato, and drums."""
    rng = np.random.default_rng(seed)
    n = RATE * 12
    y, beat = np.zeros(n), int(RATE * rng.uniform(0.18, 0.7))
    for _ in range(rng.integers(1, 6)):
        base, tilt, decay = rng.uniform(60, 700), rng.uniform(0.8, 2.5), np.exp(rng.uniform(np.log(1500), np.log(60000)))
        hold, wobble, loud, at = rng.integers(1, 5), rng.uniform(0, 0.006) * (rng.random() < 0.4), rng.uniform(0.3, 1), 0
        while at < n:
            length = min(beat * int(rng.integers(1, hold + 1)), n - at)
            t = np.arange(length)
            envelope = np.minimum(t / rng.uniform(20, 800), 1) * (np.exp(-t / decay) + rng.uniform(0, 0.3))
            hz = base * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
            turn = 2 * np.pi * np.cumsum(hz * (1 + wobble * np.sin(2 * np.pi * 5.5 * t / RATE))) / RATE
            for h in range(1, 13):
                if hz * h < 7800:
                    y[at:at + length] += loud * envelope * np.sin(h * turn + rng.uniform(0, 6)) / h**tilt
            at += length
    drum = rng.uniform(0, 4) * (rng.random() < 0.7)
    for q in range(0, n - 4000, max(1, beat // int(rng.integers(1, 3)))):
        if rng.random() < 0.8:
            hit = rng.standard_normal(4000) * np.exp(-np.arange(4000) / rng.uniform(100, 900))
            if rng.random() < 0.5:
                hit = np.convolve(hit, np.ones(20) / 5, 'same')
            y[q:q + 4000] += drum * hit
    return (y / np.sqrt((y**2).mean() + 1e-9)).astype(np.float32)


def load(npz, folder):
    """Sound as float16 [samples], labels, films (first frame, frames, voice)."""
    sounds, labels, films, names, at = [], [], [], [], 0
    for d in map(np.load, npz.split('+')):
        v = d['sound'].astype(np.float32) / 127.5 - 1
        sounds.append((np.sign(v) * np.expm1(np.abs(v) * np.log(256)) / 255).astype(np.float16))
        labels.append(d['label'])
        films.append(d['films'] + np.array([at, 0, len(names)]))
        names += [str(n) for n in d['names']]
        at += len(d['label'])
    for path in sorted(glob.glob(folder + '/*.pcm')):
        x, label = np.fromfile(path, np.int16), np.fromfile(path[:-4] + '.lab', np.int8)
        ends, label = np.flatnonzero(label == -1), label[label != -1]
        ends = ends - np.arange(len(ends))
        starts = np.r_[0, ends[:-1]]
        sounds.append((x[:len(label) * HOP].astype(np.float32) / 32768).astype(np.float16))
        labels.append(label)
        films.append(np.stack([at + starts, ends - starts, np.full(len(ends), len(names))], 1))
        names.append(os.path.basename(path)[:-4])
        at += len(label)
    return np.concatenate(sounds), np.concatenate(labels), np.concatenate(films), names


def uniform(lo, hi, *shape):
    return lo + (hi - lo) * torch.rand(*(shape or (BATCH,)), device=dev)


def mel(hz):
    return 1127 * torch.log(1 + hz / 700)


LOW, HIGH = 1127 * np.log(1 + 60 / 700), 1127 * np.log(1 + 7600 / 700)
BINS = torch.arange(FFT // 2 + 1, device=dev) * (RATE / FFT)
HANN = 0.5 - 0.5 * torch.cos(2 * np.pi * (torch.arange(WINDOW, device=dev) + 0.5) / WINDOW)
ramp, samples = torch.arange(FRAMES, device=dev), torch.arange(SAMPLES, device=dev)


def bank(warps):
    """[B, BANDS, bins] for formants that are moved by factors, [B, points] from 0 to 8 kHz on the mel scale."""
    at = mel(BINS) / mel(torch.tensor(8000.0, device=dev)) * (warps.shape[1] - 1)
    low = at.long().clamp(max=warps.shape[1] - 2)
    factor = warps[:, low] + (warps[:, low + 1] - warps[:, low]) * (at - low)
    at = (mel((BINS * factor).clamp(max=8000)) - LOW) / ((HIGH - LOW) / (BANDS + 1))
    d = at[:, None] - torch.arange(BANDS, device=dev)[None, :, None]
    return torch.minimum(d, 2 - d).clamp(min=0)


def spoken(pick, speed):
    """Films `pick` [B] from a random place on, read `speed` times as fast: sound [B, SAMPLES], labels [B, FRAMES]."""
    first, length = films[pick, 0], films[pick, 1]
    start = (torch.rand(len(pick), device=dev) * length).long()
    pos = samples[None] * speed[:, None]
    whole = pos.long()
    frac = pos - whole
    base = (start * HOP)[:, None] + whole
    total = (length * HOP)[:, None]

    def tap(k):
        return sound[(first * HOP)[:, None] + (base + k) % total].float()

    a, b, c, d = tap(-1), tap(0), tap(1), tap(2)
    x = b + 0.5 * frac * (c - a + frac * (2 * a - 5 * b + 4 * c - d + frac * (3 * (b - c) + d - a)))
    frames = start[:, None] + (ramp[None] * speed[:, None] + 0.5)
    return x, label[first[:, None] + frames.long() % length[:, None]].long()


BIN_AT = ((mel(BINS) - LOW) / ((HIGH - LOW) / (BANDS + 1)) - 1).clamp(0, BANDS - 1)  # where a bin lies among the bands


def stretched(points, n):
    """[..., few] to [..., n], linearly."""
    return F.interpolate(points.reshape(1, -1, points.shape[-1]), size=n, mode='linear',
                         align_corners=True).reshape(*points.shape[:-1], n)


def accented(x, y):
    """Other formants and another colour for every phone, broader or narrower formants, breath; pitch and time stay."""
    hann = torch.hann_window(FFT, device=dev)
    z = torch.stft(x, FFT, FFT // 4, window=hann, return_complex=True)
    frames = z.shape[2]
    logs = torch.log((bank(torch.ones(1, 2, device=dev))[0] @ z.abs()**2).clamp(min=1e-9))
    logs = torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 14)
    for _ in range(2):
        logs = F.avg_pool1d(F.pad(logs.transpose(1, 2), (1, 1), mode='replicate'), 3, 1).transpose(1, 2)  # over harmonics
    at = (torch.arange(frames, device=dev) * (FFT // 4) // HOP + torch.randint(-4, 5, (BATCH, 1), device=dev)).clamp(0, FRAMES - 1)
    phone = y.gather(1, at)
    strength = uniform(0, 1)[:, None, None]
    shift = stretched(strength * 1.0 * torch.randn(BATCH, 128, 5, device=dev), BANDS)
    colour = stretched(strength * 0.3 * torch.randn(BATCH, 128, 6, device=dev), BANDS)
    which = phone[:, :, None].expand(-1, -1, BANDS)
    d = F.avg_pool1d(shift.gather(1, which).transpose(1, 2), 7, 1, 3)
    place = (torch.arange(BANDS, device=dev)[None, :, None] + d).clamp(0, BANDS - 1.001)
    low = place.long()
    moved = torch.lerp(logs.gather(1, low), logs.gather(1, low + 1), place - low)
    broad = F.avg_pool1d(F.pad(logs.transpose(1, 2), (3, 3), mode='replicate'), 7, 1).transpose(1, 2)
    gain = 0.5 * (moved - logs) + 0.5 * uniform(-0.3, 0.25)[:, None, None] * (logs - broad)
    gain = (gain + F.avg_pool1d(colour.gather(1, which).transpose(1, 2), 7, 1, 3)).clamp(-2, 2)
    low = BIN_AT.long().clamp(max=BANDS - 2)
    part = (BIN_AT - low)[None, :, None]

    def bins(v):
        return torch.lerp(v[:, low], v[:, low + 1], part)

    breath = torch.exp(uniform(-4.5, -1.2)) * (torch.rand(BATCH, device=dev) < 0.5)
    wind = torch.randn_like(z) * torch.exp(0.5 * bins(logs)) * breath[:, None, None] * (BINS / (BINS + 1500))[None, :, None] * 0.3
    return torch.istft((z + wind) * torch.exp(bins(gain)), FFT, FFT // 4, window=hann, length=x.shape[1])


def power(x):
    """Power of the loud half."""
    p = (x.reshape(x.shape[0], -1, 320)**2).mean(2)
    on = p > 0.1 * p.mean(1, keepdim=True)
    return (p * on).sum(1) / on.sum(1).clamp(min=1) + 1e-12


def smooth(points, spread, bins):
    """Natural logarithm of a gain over `bins`, a smooth random course over the bands: [B, bins]."""
    z = torch.randn(BATCH, 1, points, device=dev) * spread
    at = ((mel(torch.linspace(0, 8000, bins, device=dev)) / mel(torch.tensor(8000.0, device=dev))) * 2 - 1)
    grid = torch.stack([at, torch.zeros_like(at)], 1)[None, None].expand(BATCH, 1, -1, -1)
    return F.grid_sample(z[:, :, None], grid, align_corners=True)[:, 0, 0]


def filtered(x, gain):
    return torch.fft.irfft(torch.fft.rfft(x, dim=1) * torch.exp(gain), n=x.shape[1], dim=1)


def coloured():
    """Noise: white, pink, of rooms and streets, or of any smooth colour; half of it comes and goes."""
    bins = SAMPLES // 2 + 1
    hz = torch.linspace(0, 8000, bins, device=dev)
    kind = torch.randint(5, (BATCH, 1), device=dev)
    room = 0.5 * torch.log(1 / (1 + (hz / 600)**2) + 0.003)
    gain = torch.where(kind == 0, torch.zeros_like(hz), torch.where(kind == 1, -0.5 * torch.log(hz + 30), torch.where(
        kind == 2, room, smooth(6, 1.2, bins))))
    x = filtered(torch.randn(BATCH, SAMPLES, device=dev), gain)
    slow = F.interpolate(torch.randn(BATCH, 1, 40, device=dev) * uniform(0, 0.8)[:, None, None], size=SAMPLES,
                         mode='linear')[:, 0]
    return x * torch.where(torch.rand(BATCH, 1, device=dev) < 0.5, torch.exp(slow), torch.ones_like(slow))


def babble(many):
    n = len(many)
    x = torch.zeros(n, SAMPLES, device=dev)
    for k in range(6):
        y, _ = spoken(chosen()[:n], torch.exp(uniform(-0.22, 0.2, n)))
        y = y / torch.sqrt(power(y))[:, None]
        on = (k < many).float() * torch.exp(0.35 * torch.randn(n, device=dev))
        x = x + y * on[:, None]
    return x


def echo(x):
    """The room's late sound alone."""
    n = int(0.9 * RATE)
    t = torch.arange(n, device=dev) / RATE
    rt = uniform(0.2, 0.9)
    h = torch.randn(BATCH, n, device=dev) * torch.exp(-6.9 * t / rt[:, None])
    h = h * (torch.rand(BATCH, n, device=dev) < torch.exp(uniform(-4, 0))[:, None])  # few echoes or many
    h = h * (t > uniform(0.003, 0.02)[:, None])
    size = 1 << 17
    y = torch.fft.irfft(torch.fft.rfft(x, n=size) * torch.fft.rfft(h, n=size), n=size)[:, :SAMPLES]
    return y


def at_ratio(x, other, loud, db):
    return x + other * torch.sqrt(loud / ((other**2).mean(1) + 1e-12) * 10 ** (-db / 10))[:, None]


def chosen():
    return torch.multinomial(weight, BATCH, replacement=True)


def batch():
    speed, pick = torch.exp(uniform(-0.27, 0.23)), chosen()
    x, y = spoken(pick, speed)
    x = accented(x, y)
    kind = torch.randint(11, (BATCH,), device=dev)  # 0, 1 quiet; 2-4 noise; 5, 10 babble; 6, 7 music; 8, 9 echo
    loud = power(x)
    tail = echo(x)
    x = torch.where(((kind == 8) | (kind == 9))[:, None], at_ratio(x, tail, loud, uniform(5, 22)), x)
    bins = SAMPLES // 2 + 1
    x = filtered(x, smooth(7, 0.45, bins))  # the microphone
    loud = power(x)
    lo = torch.tensor([35, 40, 2, 5, 5, 30, 30, 30, 15, 15, 25.], device=dev)[kind]
    hi = torch.tensor([60, 60, 20, 30, 30, 55, 55, 55, 35, 50, 45.], device=dev)[kind]
    piece = tunes[torch.randint(len(tunes), (BATCH,), device=dev)]
    shift = torch.randint(piece.shape[1], (BATCH,), device=dev)
    piece = piece.gather(1, (samples[None] + shift[:, None]) % piece.shape[1])
    crowd = babble(torch.randint(2, 7, (CROWDS,), device=dev))
    other = torch.where(((kind == 5) | (kind == 10))[:, None], crowd[torch.arange(BATCH, device=dev) % CROWDS], piece)
    x = torch.where((((kind >= 5) & (kind <= 7)) | (kind == 10))[:, None], at_ratio(x, other, loud, uniform(4, 28)), x)
    x = at_ratio(x, coloured(), loud, lo + (hi - lo) * torch.rand(BATCH, device=dev))
    return x, y, kind, exact[pick]


def spectra(x):
    """Logarithms of powers, [B, T, bins]."""
    v = F.pad(x, (WINDOW // 2, WINDOW // 2)).unfold(1, WINDOW, HOP)[:, :x.shape[1] // HOP] * HANN
    return torch.log((torch.fft.rfft(v, n=FFT).abs()**2).clamp(min=1e-12))


def features(logs, warps):
    """[B, BANDS, T] and what holds for the whole stretch, [B, 2 BANDS]."""
    logs = torch.log((torch.exp(logs) @ bank(warps).transpose(1, 2)).clamp(min=1e-12))
    top = torch.quantile(logs.amax(2), 0.95, dim=1)
    logs = ((logs - top[:, None, None]) / 4).clamp(min=-4)
    level = torch.quantile(logs[:, ::3], torch.tensor([0.1, 0.9], device=dev), dim=1)
    return logs.transpose(1, 2), torch.cat([level[0], level[1]], 1)


def paced(f, y):
    """Some syllables quicker, others slower."""
    rate = stretched(torch.randn(BATCH, 41, device=dev) * uniform(0, 0.25)[:, None], FRAMES)
    at = ramp + torch.cumsum(torch.exp(rate) - 1, 1)
    at = (at - at.mean(1, keepdim=True) + (FRAMES - 1) / 2).clamp(0, FRAMES - 1.001)
    low = at.long()[:, None].expand(-1, BANDS, -1)
    return torch.lerp(f.gather(2, low), f.gather(2, low + 1), at[:, None] - low), y.gather(1, (at + 0.5).long())


def disguise(f, level):
    """Another throat, ear or line: contrast, a smooth course over the bands, bands that are missing."""
    f, level = f.clone(), level.reshape(BATCH, 2, BANDS)
    contrast = uniform(0.85, 1.15)[:, None, None]
    course = F.interpolate(0.12 * torch.randn(BATCH, 1, 9, device=dev), size=BANDS, mode='linear', align_corners=True)
    f, level = f * contrast + course.transpose(1, 2), level * contrast + course
    for _ in range(2):
        first, width = torch.randint(BANDS, (BATCH, 1), device=dev), torch.randint(7, (BATCH, 1), device=dev)
        band = torch.arange(BANDS, device=dev)[None]
        gone = (band >= first) & (band < first + width) & (torch.rand(BATCH, 1, device=dev) < 0.5)
        f, level = f.masked_fill(gone[:, :, None], -2.5), level.masked_fill(gone[:, None], -2.5)
    return f.clamp(min=-4), level.reshape(BATCH, -1).clamp(min=-4)


class Block(torch.nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.around = torch.nn.Conv1d(WIDTH, WIDTH, TAPS, dilation=dilation, padding=dilation * (TAPS // 2), groups=WIDTH)
        self.norm = torch.nn.BatchNorm1d(WIDTH)
        self.up = torch.nn.Conv1d(WIDTH, 2 * WIDTH, 1)
        self.down = torch.nn.Conv1d(2 * WIDTH, WIDTH, 1)
        torch.nn.init.normal_(self.down.weight, std=0.02)

    def forward(self, x):
        return x + self.down(F.dropout(torch.relu(self.up(self.norm(self.around(x)))), LOSE, self.training))


class Net(torch.nn.Module):
    """Phones, and how likely each ends, and starts, between a frame and the one before it (not normalised)."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv1d(BANDS, WIDTH, FIRST, padding=FIRST // 2)
        self.level = torch.nn.Linear(2 * BANDS, WIDTH)
        self.blocks = torch.nn.ModuleList(Block(d) for d in DILATIONS)
        self.last = torch.nn.BatchNorm1d(WIDTH)
        self.heads = torch.nn.Conv1d(WIDTH, 3 * PHONES, 1)

    def forward(self, x, level):
        x = torch.relu(self.first(x) + self.level(level)[:, :, None])
        for b in self.blocks:
            x = b(x)
        return self.heads(F.dropout(torch.relu(self.last(x)), LOSE, self.training))


OFFSETS = torch.arange(-SPAN, SPAN + 1, device=dev)


def edges(y):
    """Places of edges between known phones whose surroundings are all there."""
    change = (y[:, 1:] != y[:, :-1]) & (y[:, 1:] < PHONES) & (y[:, :-1] < PHONES)
    b, t = torch.nonzero(change, as_tuple=True)
    t = t + 1
    inside = (t > 2 * SPAN) & (t < FRAMES - 2 * SPAN)
    return b[inside], t[inside]


def scores(o, y, b, t, off):
    """Of the places around each edge, moved by `off`: [edges, 2 SPAN + 1]."""
    at = (t + off)[:, None] + OFFSETS
    left, right = y[b, t - 1], y[b, t]
    return o[b[:, None], PHONES + left[:, None], at] + o[b[:, None], 2 * PHONES + right[:, None], at]


def judge(o, y, trust):
    """Loss; share of frames right; distances of edges in frames."""
    known = y < PHONES
    phones = F.cross_entropy(o[:, :PHONES], torch.where(known, y, torch.full_like(y, -100)), label_smoothing=0.05)
    b, t = edges(y)
    off = torch.randint(-SPAN // 2, SPAN // 2 + 1, t.shape, device=dev)
    s = torch.log_softmax(scores(o, y, b, t, off), 1)
    q = torch.softmax(-0.5 * ((OFFSETS[None] + off[:, None]) / SPREAD)**2, 1)
    weight = trust[b] * torch.where((y[b, t] == 0) | (y[b, t - 1] == 0), 3.0, 1.0)
    placed = -((q * s).sum(1) * weight).sum() / weight.sum()
    with torch.no_grad():
        right = ((o[:, :PHONES].argmax(1) == y) & known).float().sum() / known.sum()
        away = (s.argmax(1) - SPAN + off).abs()
    return phones + 0.5 * placed, right, away, b


def main():
    global sound, label, films, weight, exact, tunes
    seconds, start, step = float(sys.argv[1]), time.time(), 0
    with multiprocessing.get_context('fork').Pool() as pool:
        made = pool.map(music, range(int(os.environ.get('TUNES', 96))))
    raw, lab, cut, names = load(sys.argv[3], sys.argv[4])
    kinds = [n.split('_')[0] if n.startswith(('rms', 'kal16')) else n.rsplit('_', 1)[0] if n.startswith('rh_') else n for n in names]
    same = {k: sum(n for _, n, v in cut if kinds[v] == k) for k in set(kinds)}
    share = {k: next(v for start, v in SHARE.items() if k.startswith(start)) for k in kinds}
    total = np.array([share[kinds[v]] / same[kinds[v]] * n for _, n, v in cut])
    sure = np.array([0.4 if kinds[v].startswith(('es_', 'ast_', 'pico_', 'st_', 'lv')) else 1.0 for _, _, v in cut])  # the aligner's edges
    print(len(names), 'sources,', len(cut), 'films,', len(lab) / 200 / 3600, 'h', time.time() - start, 's', flush=True)
    sound, label = torch.from_numpy(raw).to(dev), torch.from_numpy(lab).to(dev)
    films, weight = torch.from_numpy(cut.astype(np.int64)).to(dev), torch.from_numpy(total.astype(np.float32)).to(dev)
    exact = torch.from_numpy(sure.astype(np.float32)).to(dev)
    tunes = torch.from_numpy(np.stack(made)).to(dev)
    net = Net().to(dev)
    peak = 2e-3
    if len(sys.argv) > 5:
        net.load_state_dict({k: torch.from_numpy(v) for k, v in np.load(sys.argv[5]).items() if k != 'seen'})
        peak = 1.2e-3
    slow = Net().to(dev)
    slow.load_state_dict(net.state_dict())
    pairs = [(p, q) for p, q in zip(slow.state_dict().values(), net.state_dict().values()) if p.is_floating_point()]
    optimiser = torch.optim.AdamW(net.parameters(), peak, weight_decay=2e-2, fused=dev == 'cuda')
    heard = torch.zeros(POOL, FRAMES, FFT // 2 + 1, dtype=torch.float16, device=dev)
    said = torch.zeros(POOL, FRAMES, dtype=torch.uint8, device=dev)
    room, sure = torch.zeros(POOL, dtype=torch.long, device=dev), torch.zeros(POOL, device=dev)
    made, seen, saved = 0, [], start
    while time.time() - start < seconds:
        gone = (time.time() - start) / seconds
        for group in optimiser.param_groups:
            group['lr'] = peak * min(1, (step + 1) / 300) * max(0.01, 0.5 * (1 + np.cos(np.pi * gone)))
        with torch.no_grad():
            while made < 6 * BATCH or (step % EVERY == 0 and made < (step // EVERY + 6) * BATCH):
                x, y, kind, trust = batch()
                at = torch.arange(made, made + BATCH, device=dev) % POOL
                heard[at], said[at], room[at], sure[at] = spectra(x).half(), y.to(torch.uint8), kind, trust
                made += BATCH
            at = torch.randint(min(made, POOL), (BATCH,), device=dev)
            y, kind, trust = said[at].long(), room[at], sure[at]
            warp = torch.exp(0.12 * torch.randn(BATCH, 1, device=dev).clamp(-2.2, 2.2))
            warps = warp * torch.exp(0.07 * torch.randn(BATCH, 6, device=dev).clamp(-2, 2))  # accents move formants too
            f, level = disguise(*features(heard[at].float(), warps))
            f, y = paced(f, y)
        with torch.autocast(dev, torch.bfloat16, enabled=dev == 'cuda'):
            o = net(f, level)
        loss, right, away, b = judge(o.float(), y, trust)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_([p for p, _ in pairs], [q for _, q in pairs], 1 - min(0.999, step / (step + 50)))
        if step % 100 == 0 or step == 10:
            quiet, loud = away[kind[b] < 2].float(), away[kind[b] >= 2].float()
            seen.append((step, time.time() - start, loss.item(), right.item()))
            print(step, f'{time.time() - start:.0f} s loss {loss.item():.3f} right {right.item():.3f} edges beyond 10 frames: '
                  f'quiet {(quiet > 10).float().mean().item():.3f}, else {(loud > 10).float().mean().item():.3f}', flush=True)
        if time.time() - saved > 60 or (step % 10 == 0 and os.environ.get('OFTEN')):
            saved = time.time()
            np.savez(sys.argv[2], seen=np.array(seen), **{k: v.cpu().numpy() for k, v in slow.state_dict().items()})
    np.savez(sys.argv[2], seen=np.array(seen), **{k: v.cpu().numpy() for k, v in slow.state_dict().items()})
    print('steps', step, 'in', time.time() - start, 's; numbers', sum(p.numel() for p in net.parameters()))


if __name__ == '__main__':
    main()
