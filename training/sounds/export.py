"""The file src/speech/sounds_net.bin: export.py NET.npz DATA.npz FOLDER ENDS.txt OUT.bin (FOLDER: what sounds_make wrote;
ENDS: lengths before a pause of one more voice, lines "PHONE_NUMBER FRAMES")"""
import glob
import sys

import numpy as np

PHONES, AH, AX = 41, 3, 6
VOWELS = {1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 18, 19, 26, 27, 34, 35}


def runs(label):
    cut = np.flatnonzero(np.diff(label)) + 1
    return zip(np.r_[0, cut], np.r_[cut, len(label)])


net, data = np.load(sys.argv[1]), np.load(sys.argv[2])
out = bytearray(np.uint32(net['a.weight'].shape[0]).tobytes())
for k in 'abc':
    w = net[k + '.weight'].astype(np.float32)
    scale = np.abs(w).max(1) / 127
    out += scale.astype('<f4').tobytes() + net[k + '.bias'].astype('<f4').tobytes()
    out += np.round(w / scale[:, None]).astype(np.int8).tobytes()
inside, ends, others = {}, {}, {}
for at, n in data['off']:
    label = data['lab'][at:at + n].astype(int)
    for a, b in runs(label):
        if label[a] > 0 and b < n and label[b] > 0:
            inside.setdefault(label[a], []).append(np.log(b - a))
for path in glob.glob(sys.argv[3] + '/rms_*.lab'):
    label, size = np.fromfile(path, np.int8).astype(int), float(path.split('_')[-1][:-4])
    for a, b in runs(label):
        if label[a] > 0 and b < len(label) and label[b] == 0:
            ends.setdefault(label[a], []).append(np.log((b - a) / size))
for line in open(sys.argv[4]):
    phone, frames = line.split()
    others.setdefault(int(phone), []).append(np.log(float(frames)))
usual = np.zeros((PHONES, 2), np.float32)
kind = {v: np.mean(np.concatenate([inside[p] for p in inside if (p in VOWELS) == v])) for v in (True, False)}
gap = np.mean([np.mean(others[p]) - np.mean(ends[p]) for p in others if p in ends])
for p in range(1, PHONES):
    usual[p, 0] = (np.sum(inside.get(p, [])) + 5 * kind[p in VOWELS]) / (len(inside.get(p, [])) + 5)
    first = (np.sum(ends.get(p, [])) + 5 * (usual[p, 0] + 0.25)) / (len(ends.get(p, [])) + 5)
    second = (np.sum(others.get(p, [])) + 4 * (first + gap)) / (len(others.get(p, [])) + 4)
    usual[p, 1] = (first + second) / 2
usual[AX] = usual[AH]
often = np.bincount(data['lab'].astype(int), minlength=PHONES) / len(data['lab'])
often[AX] = often[AH]
out += usual.astype('<f4').tobytes() + np.log(np.maximum(often, 1e-4)).astype('<f4').tobytes()
open(sys.argv[5], 'wb').write(out)
print(len(out), 'bytes')
