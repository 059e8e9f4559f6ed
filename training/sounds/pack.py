"""Films of sounds_make and festival.py in one small file: pack.py OUT.npz FOLDER...

Sound in 8 bits (mu-law, mu = 255). STEP: with 3, say, only every third of the 256 values, which xz packs smaller."""
import glob
import os
import sys

import numpy as np

sounds, labels, films, names, at, step = [], [], [], [], 0, int(os.environ.get('STEP', 1))
for folder in sys.argv[2:]:
    for path in sorted(glob.glob(folder + '/*.pcm')):
        x, label = np.fromfile(path, np.int16).astype(np.float32) / 32768, np.fromfile(path[:-4] + '.lab', np.int8)
        ends, label = np.flatnonzero(label == -1), label[label != -1]
        x = x[:len(label) * 80] / np.abs(x).max() * 0.7
        x = (np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256) + 1) * 127.5
        sounds.append((np.round((x - 127) / step) * step + 127).clip(0, 255).astype(np.uint8))
        labels.append(label)
        starts = np.r_[0, (ends - np.arange(len(ends)))[:-1]]
        for a, b in zip(starts, ends - np.arange(len(ends))):
            films.append((at + a, b - a, len(names)))
        names.append(os.path.basename(path)[:-4])
        at += len(label)
np.savez(sys.argv[1], sound=np.concatenate(sounds), label=np.concatenate(labels), films=np.array(films), names=names)
print(len(names), 'voices,', at / 200, 's')
