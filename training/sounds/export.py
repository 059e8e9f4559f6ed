"""The file src/speech/sounds_net.bin: export.py OUT.bin FOLDER ENDS.txt NET.npz[*WEIGHT][+NET.npz[*WEIGHT]]=USE...

FOLDER: what sounds_say wrote; ENDS: lengths before a pause of one more voice, lines "PHONE_NUMBER FRAMES"; USE: e edges, w
words, n noise, ew both; with + the mean of networks that come of one another, of each as much as its WEIGHT (1) says.
An earlier sounds_net.bin instead of FOLDER: the lengths are that file's; FILE.bin:1 instead of a network: its second one,
byte for byte."""
import glob
import sys

import numpy as np

import restore

PHONES, AH, AX = 41, 3, 6
DILATIONS = {7: (1, 2, 4, 8, 16, 4, 1), 9: (1, 2, 4, 8, 16, 1, 4, 16, 2)}  # as train.py had them
VOWELS = {1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 18, 19, 26, 27, 34, 35}
asked = [a.rsplit('=', 1) for a in sys.argv[4:]]


def unpacked(path):
    """A network as numbers, also where train.py packed() it."""
    d = np.load(path)
    return {k: d[k].astype(np.float32) * d[k + '.scale'].reshape(-1, *[1] * (d[k].ndim - 1)) if k + '.scale' in d else d[k]
            for k in d.files if k != 'seen' and not k.endswith('.scale')}


def mean(paths):
    """The mean of networks that come of one another, or the bytes of one."""
    if ':' in paths[0]:
        path, index = paths[0].rsplit(':', 1)
        return restore.pieces(path)[0][int(index)]
    parts = [(path.split('*') + ['1'])[:2] for path in paths]
    nets, parts = [unpacked(path) for path, _ in parts], [np.float32(w) for _, w in parts]
    return {k: sum(n[k] * w for n, w in zip(nets, parts)) / sum(parts) for k in nets[0]}


nets = [mean(paths.split('+')) for paths, _ in asked]
out = bytearray(np.array([len(nets)] + [sum((c in use) << i for i, (_, use) in enumerate(asked)) for c in 'ewn'],
                         '<u4').tobytes())


def layer(w, bias):
    """[out, in] as bytes with a scale a row."""
    w = w.astype(np.float32)
    scale = np.maximum(np.abs(w).max(1), 1e-12) / 127
    return (scale.astype('<f4').tobytes() + bias.astype('<f4').tobytes() +
            np.round(w / scale[:, None]).astype(np.int8).tobytes())


def normed(net, name):
    """Factor and bias of a norm as it is used."""
    factor = net[name + '.weight'] / np.sqrt(net[name + '.running_var'] + 1e-5)
    return factor, net[name + '.bias'] - net[name + '.running_mean'] * factor


for net in nets:
    if isinstance(net, bytes):
        out += net
        continue
    width, blocks = len(net['first.bias']), sum(k.endswith('around.bias') for k in net)
    out += np.array([width, blocks, len(net['heads.bias']), *DILATIONS[blocks]], '<u4').tobytes()
    out += layer(net['first.weight'].transpose(0, 2, 1).reshape(width, -1), net['first.bias'])
    out += layer(net['level.weight'], net['level.bias'])
    for i in range(blocks):
        b = f'blocks.{i}.'
        factor, bias = normed(net, b + 'norm')
        out += layer(net[b + 'around.weight'][:, 0] * factor[:, None], net[b + 'around.bias'] * factor + bias)
        for part in ('up', 'down'):
            out += layer(net[b + part + '.weight'][:, :, 0], net[b + part + '.bias'])
    factor, bias = normed(net, 'last')
    out += factor.astype('<f4').tobytes() + bias.astype('<f4').tobytes()
    out += layer(net['heads.weight'][:, :, 0], net['heads.bias'])


def runs(label):
    cut = np.flatnonzero(np.diff(label)) + 1
    return zip(np.r_[0, cut], np.r_[cut, len(label)])


def lengths():
    """Usual lengths of phones and how often they are said."""
    inside, ends, others, often = {}, {}, {}, np.zeros(128)
    for path in sorted(glob.glob(sys.argv[2] + '/*.lab')):
        label = np.fromfile(path, np.int8).astype(int)
        often += np.bincount(label[label >= 0], minlength=128)
        for a, b in runs(label):
            if label[a] <= 0 or b == len(label) or label[b] < 0:
                continue
            if label[b] > 0:
                inside.setdefault(label[a], []).append(np.log(b - a))
            elif 'rms' in path:  # kal16 ends sentences too abruptly
                ends.setdefault(label[a], []).append(np.log(b - a))
    for line in open(sys.argv[3]):
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
    often = often[:PHONES] / often[:PHONES].sum()
    often[AX] = often[AH]
    return usual.astype('<f4').tobytes() + np.log(np.maximum(often, 1e-4)).astype('<f4').tobytes()


out += restore.pieces(sys.argv[2])[1] if sys.argv[2].endswith('.bin') else lengths()
open(sys.argv[1], 'wb').write(out)
print(len(out), 'bytes')
