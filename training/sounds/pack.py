"""Powers and labels of sounds_make, and noises to add to them, in one file: pack.py FOLDER OUT.npz"""
import glob
import sys

import numpy as np

BANDS, DB = 24, 1.0
rng = np.random.default_rng(1)


def mel(hz):
    return 1127 * np.log(1 + hz / 700)


low, high, bins = mel(60), mel(7600), np.arange(257) * 31.25
edges = low + (high - low) * np.arange(BANDS + 2) / (BANDS + 1)
bank = np.stack([np.clip(np.minimum((mel(bins) - edges[b]) / (edges[b + 1] - edges[b]),
                                    (edges[b + 2] - mel(bins)) / (edges[b + 2] - edges[b + 1])), 0, None)
                 for b in range(BANDS)])


def powers(x):
    n = len(x) // 80
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(400) + 0.5) / 400)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, (200, 400)), 400)[::80][:n] * window
    return np.abs(np.fft.rfft(frames, 512)) ** 2 @ bank.T


def steps(p):
    """Logarithms as bytes of 1 dB."""
    return np.clip(np.round((np.log(np.maximum(p, 1e-10)) + 23) / (DB * np.log(10) / 10)), 0, 255).astype(np.uint8)


def music(n):
    """Notes of a few voices with harmonics that die away, and a drum."""
    y, at = np.zeros(n), 0
    beat, base, voices = int(16000 * rng.uniform(0.2, 0.6)), rng.uniform(90, 330), rng.integers(2, 5)
    decay, tilt, drum = rng.uniform(2000, 20000), rng.uniform(1, 2.5), rng.uniform(0, 3) * (rng.random() < 0.7)
    while at < n:
        length = min(beat * int(rng.integers(1, 4)), n - at)
        t = np.arange(length)
        envelope = np.exp(-t / decay) * rng.uniform(0.3, 1) + rng.uniform(0, 0.5)
        for _ in range(voices):
            hz = base * 2 ** (rng.integers(0, 25) / 12)
            for h in range(1, 8):
                if hz * h < 7800:
                    y[at:at + length] += envelope * np.sin(2 * np.pi * hz * h * t / 16000 + rng.uniform(0, 6)) / h**tilt
        for q in range(0, length, beat):
            m = min(2000, length - q)
            y[at + q:at + q + m] += drum * np.exp(-np.arange(m) / rng.uniform(150, 600)) * rng.standard_normal(m)
        at += length
    return y


q, labels, films, at = [], [], [], 0
for path in sorted(f for f in glob.glob(sys.argv[1] + '/*') if not f.endswith('.lab')):
    p, label = np.fromfile(path, np.float32).reshape(-1, BANDS), np.fromfile(path + '.lab', np.int8)
    start = 0
    for end in np.flatnonzero(label < 0):
        if end - start > 200:
            q.append(steps(p[start:end]))
            labels.append(label[start:end])
            films.append((at, end - start))
            at += end - start
        start = end + 1
np.savez(sys.argv[2], q=np.concatenate(q), lab=np.concatenate(labels), off=np.array(films),
         white=steps(powers(rng.standard_normal(16000 * 30))), mus=np.stack([steps(powers(music(16000 * 20)))
                                                                             for _ in range(24)]),
         cf=700 * (np.exp(edges[1:-1] / 1127) - 1))
