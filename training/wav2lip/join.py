"""One file of speech from several: join.py OUT.safetensors PART...

A part is what synth_speech wrote, or the voices of training/sounds (pack.py's .npz: sound and the phone of every 5 ms).
Films of one voice are put one behind the other, and said again by another vocal tract (resampled)."""

import json
import struct
import sys

import numpy as np

from data import read_safetensors

HOP, RATE, UNKNOWN, VOWELS = 80, 16000, 126, "aeiou"
TENSORS = ("wave", "wave_offset", "phone_id", "phone_end", "phone_energy", "phone_stress", "phone_offset")
ENTRY = 6.0  # s, at least, of an entry made of films
AGAIN = 3  # every film is used so many times


def phones_of(path):
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(n))["__metadata__"]["phones"]


def resampled(x, rate):
    """Sound as if the tape ran `rate` times as fast; what would fold back is taken away first."""
    n = int(len(x) / rate)
    if rate > 1:
        f = np.fft.rfft(x)
        f[int(len(f) * 0.98 / rate) :] = 0
        x = np.fft.irfft(f, len(x))
    return np.interp(np.arange(n) * rate, np.arange(len(x)), x)


def entry(sound, label, rate, names):
    """Tensors of one entry: its sound at the level of the other parts, phones with ends, energy, stress."""
    x = resampled(sound, rate)
    loud = np.sqrt(np.mean(x[: len(x) // 800 * 800].reshape(-1, 800) ** 2, 1))
    x = x * (0.1 / max(np.sqrt(np.mean(loud[loud > 0.01] ** 2)) if (loud > 0.01).any() else 0.1, 1e-3))
    edge = np.r_[np.flatnonzero(np.diff(label)) + 1, len(label)]
    ids = label[edge - 1].astype(np.uint8)
    end = (edge * HOP / RATE / rate).astype(np.float32)
    at = np.minimum((np.r_[0, end] * RATE).astype(int), len(x))
    energy = np.array([np.sqrt(np.mean(x[a:b] ** 2) + 1e-12) for a, b in zip(at, np.maximum(at[1:], at[:-1] + 1))], np.float32)
    vowel = np.array([names[i][0] in VOWELS for i in ids])
    usual = energy[vowel].mean() if vowel.any() else 1
    stress = (vowel & (energy > usual)).astype(np.uint8)
    return np.clip(x * 32767, -32767, 32767).astype(np.int16), ids, end, energy, stress


def voices(path, names):
    """The voices of training/sounds in synth_speech's form."""
    z = np.load(path)
    sound, label, films = z["sound"], z["label"], z["films"]
    rng = np.random.default_rng(7)
    rows = []
    for voice in np.unique(films[:, 2]):
        mine = [f for f in films[films[:, 2] == voice] if not (label[f[0] : f[0] + f[1]] == UNKNOWN).any()]
        for _ in range(AGAIN):
            some = []
            for k in rng.permutation(len(mine)):
                some.append(mine[k])
                if sum(f[1] for f in some) * HOP / RATE >= ENTRY:
                    rows.append(some)
                    some = []
            if some:
                rows.append(some)
    parts = []
    for some in rows:
        u = np.concatenate([sound[f[0] * HOP : (f[0] + f[1]) * HOP] for f in some]).astype(np.float32) / 127.5 - 1
        x = np.sign(u) * (256 ** np.abs(u) - 1) / 255
        y = np.concatenate([label[f[0] : f[0] + f[1]] for f in some])
        parts.append(entry(x, y, float(np.exp(rng.uniform(-0.17, 0.17))), names))
    off = lambda k, kind: np.r_[0, np.cumsum([len(p[k]) for p in parts])].astype(kind)
    both = {n: np.concatenate([p[k] for p in parts]) for n, k in (("wave", 0), ("phone_id", 1), ("phone_end", 2), ("phone_energy", 3), ("phone_stress", 4))}
    return dict(both, wave_offset=off(0, np.int64), phone_offset=off(1, np.int32))


def main():
    out, paths = sys.argv[1], sys.argv[2:]
    spoken = phones_of([p for p in paths if not p.endswith(".npz")][0])
    parts = [voices(p, spoken.split()) if p.endswith(".npz") else read_safetensors(p) for p in paths]
    all_ = {}
    for name in TENSORS:
        if name.endswith("_offset"):
            base, rows = 0, [np.zeros(1, parts[0][name].dtype)]
            for p in parts:
                rows.append(p[name][1:] + base)
                base += p[name][-1]
            all_[name] = np.concatenate(rows).astype(parts[0][name].dtype)
        else:
            all_[name] = np.concatenate([p[name] for p in parts])
    kinds = {"uint8": "U8", "int16": "I16", "int32": "I32", "int64": "I64", "float32": "F32"}
    head, at, blobs = {"__metadata__": {"phones": spoken, "rate": str(RATE)}}, 0, []
    for name in sorted(all_, key=lambda k: -all_[k].dtype.itemsize):  # readers want every tensor aligned to its element
        v = np.ascontiguousarray(all_[name])
        head[name] = {"dtype": kinds[str(v.dtype)], "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
        blobs.append(v.tobytes())
        at += v.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(out, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(len(all_["wave_offset"]) - 1, "entries,", round(len(all_["wave"]) / RATE / 60, 1), "minutes")


if __name__ == "__main__":
    main()
