#!/usr/bin/env python3
"""What train.py left, and windows of people it never saw, as the tests' fixture.

  pack.py WINDOWS.npz WEIGHTS.npz OUT    tensors: name length, name, rank, shape (u32), kind; 0: f32 values; 1: f32 scale of each row of the first axis, then int8"""
import struct, sys
import numpy as np
import torch
from train import FRAMES, HELD_OUT, SIDE, mask

WINDOWS = 4


def put(f, name, x, rows):
    x = np.ascontiguousarray(x, np.float32)
    f.write(struct.pack("<B", len(name)) + name.encode() + struct.pack("<B%dI" % x.ndim, x.ndim, *x.shape) + struct.pack("<B", rows))
    if not rows:
        return f.write(x.tobytes())
    flat = x.reshape(x.shape[0], -1)
    scale = np.maximum(np.abs(flat).max(1), 1e-12) / 127
    f.write(scale.astype(np.float32).tobytes() + np.rint(flat / scale[:, None]).astype(np.int8).tobytes())


def main():
    d, w = np.load(sys.argv[1]), np.load(sys.argv[2])
    film, latent = d["film"], d["latent"] / 24.0
    held = sorted(f for f in np.unique(film) if f % HELD_OUT == HELD_OUT - 1)
    with open(sys.argv[3], "wb") as f:
        tensors = [(k, w[k], w[k].ndim >= 2) for k in w.files if not k.endswith("pos_encoder.pe")]
        tensors += [("test.mean", d["mean"], False), ("test.basis", d["basis"], False), ("test.mask", mask(torch.device("cpu")).numpy(), False)]
        for i in range(WINDOWS):
            first = np.flatnonzero(film == held[i % len(held)])[0]
            at, ref = first + 20 + 12 * i, first + (80 if i % 2 else 0)
            tensors += [(f"test.truth.{i}", latent[at:at + FRAMES].reshape(-1, 4).T, True),
                        (f"test.reference.{i}", latent[ref:ref + FRAMES].reshape(-1, 4).T, True),
                        (f"test.sound.{i}", d["sound"][at:at + FRAMES].reshape(-1, 24).T, True)]
        f.write(b"PZTENSOR" + struct.pack("<I", len(tensors)))
        for name, x, rows in tensors:
            put(f, name, x, rows)


main()
