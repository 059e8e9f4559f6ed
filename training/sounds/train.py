"""Teach the network of src/speech/sounds.c: train.py SECONDS OUT.npz VOICES.npz[+VOICES.npz] FOLDER [FROM.npz]

FOLDER: what sounds_say wrote; FROM: goes on with that network. Everything but the films is made anew on the device: size
of the head and pitch (resampling), an accent (every phone of a film gets formants and a colour of its own), breath,
microphones and rooms (one smooth filter and a tail of echoes), noises of all colours, music, other people. What was made
waits as spectra in a pool and is met about three times, each time with another throat (bands warped) and pace.

FROM may be narrower: it is widened. FOLDER may still be written to: it is read once it holds a file "done". Besides OUT.npz (the
mean of the last thousand steps), OUT-wide.npz is the mean of all since WIDE of the time and OUT-start.npz what it began with; all
in 8 bits (see packed()). With CYCLES, each begins with the mean of what the one before began and ended with."""
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
SPAN, SPREAD, UNKNOWN = 30, 1.0, 126
LOSE, EDGES, SMOOTH, PEAK, WIDE = (float(os.environ.get(k, v)) for k, v in (
    ('LOSE', 0.15), ('EDGES', 0.5), ('SMOOTH', 0.05), ('PEAK', 1.2e-3), ('WIDE', 0.4)))
CYCLES, DISGUISE = int(os.environ.get('CYCLES', 1)), float(os.environ.get('DISGUISE', 1))
# What a film is heard in: 0, 1 quiet; 2-4 noise; 5, 10 babble; 6, 7 music; 8, 9 echo; least and most dB above the noise (KIND) and above
# babble and music (OTHER). For words most of it is hard to hear.
WORDS = bool(os.environ.get('WORDS'))
ROOMS = (0, 2, 2, 2, 3, 4, 5, 10, 6, 7, 8, 9) if WORDS else range(11)
KIND = ((30, 40, 2, 8, 5, 25, 25, 25, 12, 15, 15.), (60, 60, 18, 26, 20, 55, 55, 55, 35, 50, 40.)) if WORDS else (
    (35, 40, 2, 5, 5, 30, 30, 30, 15, 15, 25.), (60, 60, 20, 30, 30, 55, 55, 55, 35, 50, 45.))
OTHER = (2, 24) if WORDS else (4, 28)
BATCH, POOL, EVERY = (int(os.environ.get(k, v)) for k, v in (('BATCH', 64), ('POOL', 4096), ('EVERY', 3)))
# How much is heard of whom: by the voice's name or by how it begins.
SHARE = {'rms': 9.0, 'kal16': 3.5, 'ked_diphone': 5.0, 'kal_diphone': 1.0, 'rh_English': 12.0, 'rh_Russian': 1.5, 'rh_': 0.7, 'ast_en': 6.0,
         'ast_': 0.4, 'pico_en-US': 2.5, 'pico_en-GB': 1.0, 'pico_': 0.2, 'st_en': 0.7, 'st_': 0.4, 'lv': 0.7, 'es_': 0.35,
         'gh_reader_kathleen': 2.0, 'gh_word': 0.25, 'gh_order': 0.5, 'gh_libri': 0.35, 'gh_vctk': 0.35, 'gh_': 0.7, '': 0.6}
if WORDS:  # nobody too often
    SHARE |= {'rms': 6.5, 'ked_diphone': 3.5, 'rh_English': 14.0, 'ast_en': 7.0, 'pico_en-US': 3.0, 'lv': 1.0}
RATE, SAMPLES, CROWDS = 16000, FRAMES * HOP, max(1, BATCH // 4)
WATCH = 40, int(os.environ.get('WATCH', 80))
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
    shift = stretched(strength * DISGUISE * torch.randn(BATCH, 128, 5, device=dev), BANDS)
    colour = stretched(strength * 0.3 * DISGUISE * torch.randn(BATCH, 128, 6, device=dev), BANDS)
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
    kind = torch.tensor(ROOMS, device=dev)[torch.randint(len(ROOMS), (BATCH,), device=dev)]
    loud = power(x)
    tail = echo(x)
    x = torch.where(((kind == 8) | (kind == 9))[:, None], at_ratio(x, tail, loud, uniform(5, 22)), x)
    bins = SAMPLES // 2 + 1
    x = filtered(x, smooth(7, 0.45, bins))  # the microphone
    loud = power(x)
    lo, hi = (torch.tensor(v, device=dev)[kind] for v in KIND)
    piece = tunes[torch.randint(len(tunes), (BATCH,), device=dev)]
    shift = torch.randint(piece.shape[1], (BATCH,), device=dev)
    piece = piece.gather(1, (samples[None] + shift[:, None]) % piece.shape[1])
    crowd = babble(torch.randint(2, 7, (CROWDS,), device=dev))
    other = torch.where(((kind == 5) | (kind == 10))[:, None], crowd[torch.arange(BATCH, device=dev) % CROWDS], piece)
    x = torch.where((((kind >= 5) & (kind <= 7)) | (kind == 10))[:, None], at_ratio(x, other, loud, uniform(*OTHER)), x)
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
    course = F.interpolate(0.12 * DISGUISE * torch.randn(BATCH, 1, 9, device=dev), size=BANDS, mode='linear', align_corners=True)
    f, level = f * contrast + course.transpose(1, 2), level * contrast + course
    for _ in range(2):
        first, width = torch.randint(BANDS, (BATCH, 1), device=dev), torch.randint(7, (BATCH, 1), device=dev)
        band = torch.arange(BANDS, device=dev)[None]
        gone = (band >= first) & (band < first + width) & (torch.rand(BATCH, 1, device=dev) < 0.5)
        f, level = f.masked_fill(gone[:, :, None], -2.5), level.masked_fill(gone[:, None], -2.5)
    for _ in range(4 if WORDS else 0):  # bursts that hide up to 80 ms
        first, length = torch.randint(FRAMES, (BATCH, 1), device=dev), torch.randint(17, (BATCH, 1), device=dev)
        hidden = (ramp >= first) & (ramp < first + length) & (torch.rand(BATCH, 1, device=dev) < 0.5)
        burst = level[:, 1, :, None] + uniform(-0.4, 0.3)[:, None, None] + 0.15 * torch.randn_like(f)
        f = torch.where(hidden[:, None], burst, f)
    return f.clamp(min=-4), level.reshape(BATCH, -1).clamp(min=-4)


try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

if triton:
    @triton.jit
    def around_kernel(x, w, bias, y, T, C, D, TAPS: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr):
        """y[b, t, c] = bias[c] + sum over k of w[k, c] x[b, t + (k - TAPS / 2) D, c]."""
        t = tl.program_id(1) * BT + tl.arange(0, BT)
        c = tl.program_id(0) * BC + tl.arange(0, BC)
        base = tl.program_id(2).to(tl.int64) * T * C
        total = tl.zeros((BT, BC), tl.float32) + tl.load(bias + c, mask=c < C, other=0.0)[None, :]
        for k in tl.static_range(TAPS):
            at = t + (k - TAPS // 2) * D
            ok = (at >= 0) & (at < T)
            v = tl.load(x + base + at[:, None] * C + c[None, :], mask=ok[:, None] & (c < C)[None, :], other=0.0).to(tl.float32)
            total += v * tl.load(w + k * C + c, mask=c < C, other=0.0)[None, :]
        tl.store(y + base + t[:, None] * C + c[None, :], total.to(y.dtype.element_ty), mask=(t < T)[:, None] & (c < C)[None, :])

    @triton.jit
    def around_weights(x, g, sums, T, C, D, TAPS: tl.constexpr, BT: tl.constexpr, BC: tl.constexpr):
        """sums[b, k, c]: slopes of w[k, c] by film b."""
        c = tl.program_id(0) * BC + tl.arange(0, BC)
        k = tl.program_id(1)
        base = tl.program_id(2).to(tl.int64) * T * C
        total = tl.zeros((BT, BC), tl.float32)
        for start in range(0, T, BT):
            t = start + tl.arange(0, BT)
            at = t + (k - TAPS // 2) * D
            ok = (t < T)[:, None] & (c < C)[None, :]
            v = tl.load(g + base + t[:, None] * C + c[None, :], mask=ok, other=0.0).to(tl.float32)
            ok = ok & ((at >= 0) & (at < T))[:, None]
            total += v * tl.load(x + base + at[:, None] * C + c[None, :], mask=ok, other=0.0).to(tl.float32)
        tl.store(sums + (tl.program_id(2) * TAPS + k) * C + c, tl.sum(total, 0), mask=c < C)


class Around(torch.autograd.Function):
    """A filter a channel over [B, T, C]; weights [C, 1, TAPS] and bias [C] in float."""

    @staticmethod
    def forward(ctx, x, w, bias, dilation):
        x, y, n = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format), x.shape
        taps = w[:, 0].t().contiguous()
        around_kernel[(triton.cdiv(n[2], 64), triton.cdiv(n[1], 64), n[0])](x, taps, bias, y, n[1], n[2], dilation, TAPS, 64, 64)
        ctx.save_for_backward(x, taps)
        ctx.dilation = dilation
        return y

    @staticmethod
    def backward(ctx, g):
        x, taps = ctx.saved_tensors
        g, n = g.contiguous(), x.shape
        back, sums = torch.empty_like(x), torch.empty(n[0], TAPS, n[2], device=x.device)
        zero = torch.zeros(n[2], device=x.device)
        around_kernel[(triton.cdiv(n[2], 64), triton.cdiv(n[1], 64), n[0])](g, taps.flip(0).contiguous(), zero, back, n[1], n[2],
                                                                         ctx.dilation, TAPS, 64, 64)
        around_weights[(triton.cdiv(n[2], 64), TAPS, n[0])](x, g, sums, n[1], n[2], ctx.dilation, TAPS, 64, 64)
        return back, sums.sum(0).t()[:, None].contiguous(), g.sum((0, 1), dtype=torch.float32), None


def convolved(x, w, bias, dilation):
    return F.conv1d(x.transpose(1, 2), w.to(x.dtype), bias.to(x.dtype), padding=dilation * (TAPS // 2), dilation=dilation,
                    groups=len(w)).transpose(1, 2)


def shifted(x, w, bias, dilation):
    p = F.pad(x, (0, 0, dilation * (TAPS // 2), dilation * (TAPS // 2)))
    y = bias.to(x.dtype)
    for k in range(TAPS):
        y = torch.addcmul(y, p[:, k * dilation:k * dilation + x.shape[1]], w[:, 0, k].to(x.dtype))
    return y


around = convolved


def pick_around():
    """The quickest of three ways that compute the same."""
    global around
    forms, best, first = {'conv': convolved, 'shift': shifted}, 1e9, None
    if triton and dev == 'cuda' or os.environ.get('TRITON_INTERPRET'):
        forms['triton'] = Around.apply
    shape = (BATCH, FRAMES, WIDTH) if dev == 'cuda' else (2, 100, 70)
    x0 = torch.randn(shape, device=dev, dtype=torch.bfloat16 if dev == 'cuda' else torch.float32)
    w0, b0, g = torch.randn(shape[2], 1, TAPS, device=dev), torch.randn(shape[2], device=dev), torch.randn_like(x0)
    for name, form in forms.items():
        try:
            took = []
            for _ in range(6):
                x, w, b = (v.clone().requires_grad_() for v in (x0, w0, b0))
                if dev == 'cuda':
                    torch.cuda.synchronize()
                start = time.time()
                y = form(x, w, b, 4)
                y.backward(g)
                if dev == 'cuda':
                    torch.cuda.synchronize()
                took.append(time.time() - start)
            out = [v.float() for v in (y.detach(), x.grad, w.grad, b.grad)]
            first = first or out
            off = max(((a - c).norm() / c.norm()).item() for a, c in zip(out, first))
            print('filters:', name, f'{1e3 * min(took):.2f} ms, off by {off:.4f}', flush=True)
            if off < 0.02 and min(took) < best:
                best, around = min(took), form
        except Exception as e:  # no compiler there, or no memory: another way does
            print('filters:', name, 'fails:', str(e)[:300], flush=True)


class Block(torch.nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.around = torch.nn.Conv1d(WIDTH, WIDTH, TAPS, dilation=dilation, padding=dilation * (TAPS // 2), groups=WIDTH)
        self.norm = torch.nn.BatchNorm1d(WIDTH)
        self.up = torch.nn.Conv1d(WIDTH, 2 * WIDTH, 1)
        self.down = torch.nn.Conv1d(2 * WIDTH, WIDTH, 1)
        torch.nn.init.normal_(self.down.weight, std=0.02)

    def forward(self, x):
        a = self.around
        y = around(x, a.weight, a.bias, a.dilation[0])
        y = self.norm(y.reshape(-1, WIDTH)).reshape(x.shape)
        y = F.dropout(torch.relu_(F.linear(y, self.up.weight[:, :, 0], self.up.bias)), LOSE, self.training)
        return x + F.linear(y, self.down.weight[:, :, 0], self.down.bias)


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
        """[B, BANDS, T], [B, 2 BANDS]: [B, 3 PHONES, T]; inside [B, T, WIDTH]."""
        x = torch.relu(self.first(x) + self.level(level)[:, :, None]).transpose(1, 2).contiguous()
        for b in self.blocks:
            x = b(x)
        x = torch.relu_(self.last(x.reshape(-1, WIDTH)).reshape(x.shape))
        return F.linear(F.dropout(x, LOSE, self.training), self.heads.weight[:, :, 0], self.heads.bias).transpose(1, 2)


def packed(state):
    """Matrices in 8 bits with a scale a row ("NAME.scale"), the rest as it is."""
    out = {}
    for k, v in state.items():
        v = v.cpu().numpy()
        if v.ndim > 1:
            scale = np.maximum(np.abs(v.reshape(len(v), -1)).max(1), 1e-12).astype(np.float32) / 127
            out[k + '.scale'] = scale
            v = np.round(v / scale.reshape(-1, *[1] * (v.ndim - 1))).astype(np.int8)
        out[k] = v
    return out


def unpacked(path):
    """A network as numbers, whatever it was saved as."""
    d = np.load(path)
    return {k: d[k].astype(np.float32) * d[k + '.scale'].reshape(-1, *[1] * (d[k].ndim - 1)) if k + '.scale' in d else
            d[k] if d[k].ndim == 0 else d[k].astype(np.float32) for k in d.files if k != 'seen' and not k.endswith('.scale')}


def widened(old, net):
    """`net`'s state with the narrower network `old` in its corner: what is new hears as it was drawn and is hardly heard yet."""
    new = {k: v.clone() for k, v in net.state_dict().items()}
    for k, v in old.items():
        v, to = torch.from_numpy(np.asarray(v)), new[k]
        if to.ndim < 2:
            to[tuple(slice(n) for n in v.shape)] = v.to(to)
            continue
        rows, columns = v.shape[0], v.shape[1]
        if k.endswith(('up.weight', 'heads.weight', 'down.weight')):  # they read channels, old ones and new
            to[:rows, columns:] *= 0.1
        if k.endswith('down.weight'):  # drawn small: new channels shall hold something
            to[rows:] = torch.randn_like(to[rows:]) * to.shape[1]**-0.5 * 0.5
        to[:rows, :columns] = v.to(to)
    return new


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
    phones = F.cross_entropy(o[:, :PHONES], torch.where(known, y, torch.full_like(y, -100)), label_smoothing=SMOOTH)
    b, t = edges(y)
    off = torch.randint(-SPAN // 2, SPAN // 2 + 1, t.shape, device=dev)
    s = torch.log_softmax(scores(o, y, b, t, off), 1)
    q = torch.softmax(-0.5 * ((OFFSETS[None] + off[:, None]) / SPREAD)**2, 1)
    weight = trust[b] * torch.where((y[b, t] == 0) | (y[b, t - 1] == 0), 3.0, 1.0)
    placed = -((q * s).sum(1) * weight).sum() / weight.sum()
    with torch.no_grad():
        right = ((o[:, :PHONES].argmax(1) == y) & known).float().sum() / known.sum()
        away = (s.argmax(1) - SPAN + off).abs()
    return phones + EDGES * placed, right, away, b


def main():
    global sound, label, films, weight, exact, tunes
    seconds, start, step = float(sys.argv[1]), time.time(), 0
    with multiprocessing.get_context('fork').Pool() as pool:
        made = pool.map(music, range(int(os.environ.get('TUNES', 96))))
    pick_around()
    while os.environ.get('AWAIT') and not os.path.exists(sys.argv[4] + '/done'):
        time.sleep(0.2)
    raw, lab, cut, names = load(sys.argv[3], sys.argv[4])
    kinds = [n.split('_')[0] if n.startswith(('rms', 'kal16')) else n.rsplit('_', 1)[0] if n.startswith('rh_') else n for n in names]
    same = {k: sum(n for _, n, v in cut if kinds[v] == k) for k in set(kinds)}
    share = {k: next(v for start, v in SHARE.items() if k.startswith(start)) for k in kinds}
    total = np.array([share[kinds[v]] / same[kinds[v]] * n for _, n, v in cut])
    sure = np.array([0.4 if kinds[v].startswith(('es_', 'ast_', 'pico_', 'st_', 'lv', 'gh_')) else 1.0 for _, _, v in cut])  # the aligner's edges
    print(len(names), 'sources,', len(cut), 'films,', len(lab) / 200 / 3600, 'h', time.time() - start, 's', flush=True)
    sound, label = torch.from_numpy(raw).to(dev), torch.from_numpy(lab).to(dev)
    films = torch.from_numpy(cut.astype(np.int64)).to(dev)
    exact = torch.from_numpy(sure.astype(np.float32)).to(dev)
    tunes = torch.from_numpy(np.stack(made)).to(dev)
    net = Net().to(dev)
    peak = 2e-3
    if len(sys.argv) > 5:
        net.load_state_dict(widened(unpacked(sys.argv[5]), net))
        np.savez(sys.argv[2][:-4] + '-start.npz', **packed(net.state_dict()))
        peak = PEAK
    slow, wide, widely = Net().to(dev), Net().to(dev), 0
    for n in (slow, wide):
        n.load_state_dict(net.state_dict())
    pairs, pairs_wide = ([(p, q) for p, q in zip(n.state_dict().values(), net.state_dict().values()) if p.is_floating_point()]
                         for n in (slow, wide))
    mean = [v.clone() for v in net.state_dict().values()]

    def adam():
        return torch.optim.AdamW(net.parameters(), peak, weight_decay=2e-2, fused=dev == 'cuda')

    def often():
        """Weights of films: in cycles some sources are hardly heard, others more."""
        if CYCLES == 1:
            return torch.from_numpy(total.astype(np.float32)).to(dev)
        odds = {k: luck.choice([0.15, 1.0, 1.0, 2.0]) for k in sorted(set(kinds[v] if kinds[v] != 'rh_English' else names[v] for _, _, v in cut))}
        return torch.from_numpy(np.array([t * odds[kinds[v] if kinds[v] != 'rh_English' else names[v]] for t, (_, _, v) in zip(total, cut)],
                                         np.float32)).to(dev)

    luck = np.random.default_rng(int(os.environ.get('SEED', 1)))
    optimiser, weight = adam(), often()
    heard = torch.zeros(POOL, FRAMES, FFT // 2 + 1, dtype=torch.float16, device=dev)
    said = torch.zeros(POOL, FRAMES, dtype=torch.uint8, device=dev)
    room, sure = torch.zeros(POOL, dtype=torch.long, device=dev), torch.zeros(POOL, device=dev)
    made, seen, saved, every, fresh, costs, steps = 0, [], start, EVERY, -1, [], []
    begin, cycle, first = time.time(), 0, 0

    def clock():
        """Only where it is looked at: waiting costs time."""
        if WATCH[0] <= step < WATCH[1]:
            if dev == 'cuda':
                torch.cuda.synchronize()
            return time.time()
        return np.nan

    while time.time() - start < seconds:
        gone = (time.time() - begin) / (start + seconds - begin) * CYCLES
        if int(gone) > cycle and cycle < CYCLES - 1:
            # The mean of this cycle and what it began with is what the next begins with, with other voices more or less often.
            cycle, first = cycle + 1, step
            with torch.no_grad():
                for m, p, q in zip(mean, slow.state_dict().values(), net.state_dict().values()):
                    if p.is_floating_point():
                        m.lerp_(p, 0.5)
                        p.copy_(m)
                        q.copy_(m)
            optimiser = adam()
            weight = often()
            np.savez(sys.argv[2], seen=np.array(seen), **packed(slow.state_dict()))
            print('cycle', cycle, 'at step', step, flush=True)
        gone -= cycle
        for group in optimiser.param_groups:
            group['lr'] = peak * min(1, (step - first + 1) / 300) * max(0.01, 0.5 * (1 + np.cos(np.pi * min(1, gone))))
        with torch.no_grad():
            while made < 6 * BATCH or step % every == 0 and fresh != step:
                fresh, begun = step, clock()
                x, y, kind, trust = batch()
                at = torch.arange(made, made + BATCH, device=dev) % POOL
                heard[at], said[at], room[at], sure[at] = spectra(x).half(), y.to(torch.uint8), kind, trust
                made += BATCH
                costs.append(clock() - begun)
            begun = clock()
            at = torch.randint(min(made, POOL), (BATCH,), device=dev)
            y, kind, trust = said[at].long(), room[at], sure[at]
            warp = torch.exp(0.12 * torch.randn(BATCH, 1, device=dev).clamp(-2.2, 2.2))
            warps = warp * torch.exp(0.07 * DISGUISE * torch.randn(BATCH, 6, device=dev).clamp(-2, 2))  # accents move formants too
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
        steps.append(clock() - begun)
        if step == WATCH[1]:  # as much that is new as a quarter of the time makes, at most every step, at least every fourth
            cost, pace = np.nanmedian(costs), np.nanmedian(steps)
            every = min(4, max(1, round(3 * cost / pace))) if 'EVERY' not in os.environ else EVERY
            print(f'a batch takes {1e3 * cost:.0f} ms, a step {1e3 * pace:.0f} ms: something new every {every} steps', flush=True)
        with torch.no_grad():
            torch._foreach_lerp_([p for p, _ in pairs], [q for _, q in pairs], 1 - min(0.999, (step - first) / (step - first + 50)))
            if gone > WIDE and step % 5 == 0:  # with cycles: of the ends of all
                widely += 1
                torch._foreach_lerp_([p for p, _ in pairs_wide], [q for _, q in pairs_wide], 1 / widely)
        if step % 100 == 0 or step == 10:
            quiet, loud = away[kind[b] < 2].float(), away[kind[b] >= 2].float()
            seen.append((step, time.time() - start, loss.item(), right.item()))
            print(step, f'{time.time() - start:.0f} s loss {loss.item():.3f} right {right.item():.3f} edges beyond 10 frames: '
                  f'quiet {(quiet > 10).float().mean().item():.3f}, else {(loud > 10).float().mean().item():.3f}', flush=True)
        if time.time() - saved > 60 or (step % 10 == 0 and os.environ.get('OFTEN')):
            saved = time.time()
            np.savez(sys.argv[2], seen=np.array(seen), **packed(slow.state_dict()))
    with torch.no_grad():
        for m, p in zip(mean, slow.state_dict().values()):
            if CYCLES > 1 and p.is_floating_point():
                p.copy_(m.lerp_(p, 0.5))
    np.savez(sys.argv[2], seen=np.array(seen), **packed(slow.state_dict()))
    if widely:
        np.savez(sys.argv[2][:-4] + '-wide.npz', seen=np.array(seen), **packed(wide.state_dict()))
    print('steps', step, 'in', time.time() - start, 's; numbers', sum(p.numel() for p in net.parameters()))


if __name__ == '__main__':
    main()
