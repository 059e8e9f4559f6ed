"""Networks out of src/speech/sounds_net.bin, to be taught on: restore.py FILE.bin STEM SOUND.raw...

Writes STEM0.npz, STEM1.npz … as train.py reads them. The file holds norms as part of the layers before or behind them;
what a norm must know of what comes to it is measured on SOUND (speech, mono 16 kHz, 16 bits) as it is and in white noise
of 15 and 8 dB, and its factors and biases are such that nothing changes."""
import sys

import numpy as np

BANDS, TAPS, FIRST, FFT, WINDOW, HOP = 32, 7, 5, 512, 400, 80
TAIL = 4 * 3 * 41  # lengths and how often phones are said


class Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, kind, n):
        v = np.frombuffer(self.raw, kind, n, self.at)
        self.at += v.nbytes
        return v.copy()

    def layer(self, rows, columns):
        scale, bias = self.take('<f4', rows), self.take('<f4', rows)
        return self.take(np.int8, rows * columns).reshape(rows, columns) * scale[:, None], bias


def network(r):
    """The next network's layers in order."""
    width, blocks, heads = map(int, r.take('<u4', 3))
    net = {'dilations': r.take('<u4', blocks), 'first': r.layer(width, FIRST * BANDS), 'level': r.layer(width, 2 * BANDS)}
    net['blocks'] = [(r.layer(width, TAPS), r.layer(2 * width, width), r.layer(width, 2 * width)) for _ in range(blocks)]
    net['last'], net['heads'] = (r.take('<f4', width), r.take('<f4', width)), r.layer(heads, width)
    return net


def pieces(path):
    """Each network's bytes, and what follows the last."""
    r = Reader(open(path, 'rb').read())
    many, out = int(r.take('<u4', 4)[0]), []
    for _ in range(many):
        start = r.at
        network(r)
        out.append(r.raw[start:r.at])
    assert len(r.raw) - r.at == TAIL
    return out, r.raw[r.at:]


def mel(hz):
    return 1127 * np.log(1 + hz / 700)


def features(x):
    """As band_net.c has them: [frames, BANDS], [2 BANDS]."""
    step = (mel(7600) - mel(60)) / (BANDS + 1)
    d = (mel(np.arange(FFT // 2 + 1) * 16000 / FFT) - mel(60))[None] / step - np.arange(BANDS)[:, None]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    v = np.lib.stride_tricks.sliding_window_view(np.pad(x, WINDOW // 2), WINDOW)[::HOP][:len(x) // HOP] * window
    logs = np.log(np.maximum(np.abs(np.fft.rfft(v, FFT))**2 @ np.minimum(d, 2 - d).clip(0).T, 1e-12))
    logs = np.maximum((logs - np.quantile(logs.max(1), 0.95)) / 4, -4)
    return logs, np.concatenate([np.quantile(logs, q, axis=0) for q in (0.1, 0.9)])


def shifted(x, taps, reach):
    """[frames, channels] seen `taps` times, each time `reach` frames later."""
    p = np.pad(x, ((reach * (taps // 2),) * 2, (0, 0)))
    return [p[k * reach:k * reach + len(x)] for k in range(taps)]


def norm(out, name, heard):
    """A norm that leaves what comes to it as it is."""
    mean, var = heard.mean(0), heard.var(0)
    out |= {name + '.running_mean': mean, name + '.running_var': var, name + '.weight': np.sqrt(var + 1e-5), name + '.bias': mean,
            name + '.num_batches_tracked': np.array(0)}


def restored(net, data):
    """One network's state as train.py names it."""
    w, bias = net['first']
    out = {'first.weight': w.reshape(len(w), FIRST, BANDS).transpose(0, 2, 1), 'first.bias': bias,
           'level.weight': net['level'][0], 'level.bias': net['level'][1]}
    xs = [np.maximum(np.concatenate(shifted(f, FIRST, 1), 1) @ w.T + bias + net['level'][0] @ level + net['level'][1], 0)
          for f, level in data]
    for i, (around, up, down) in enumerate(net['blocks']):
        ys = [sum(p * around[0][:, k] for k, p in enumerate(shifted(x, TAPS, int(net['dilations'][i])))) + around[1] for x in xs]
        norm(out, f'blocks.{i}.norm', np.concatenate(ys))
        out |= {f'blocks.{i}.around.weight': around[0][:, None], f'blocks.{i}.around.bias': around[1]}
        for name, (w, bias) in (('up', up), ('down', down)):
            out |= {f'blocks.{i}.{name}.weight': w[:, :, None], f'blocks.{i}.{name}.bias': bias}
        xs = [x + np.maximum(y @ up[0].T + up[1], 0) @ down[0].T + down[1] for x, y in zip(xs, ys)]
    norm(out, 'last', np.concatenate(xs))
    factor, bias = net['last']
    out['last.weight'], out['last.bias'] = out['last.weight'] * factor, out['last.bias'] * factor + bias
    out |= {'heads.weight': net['heads'][0][:, :, None], 'heads.bias': net['heads'][1]}
    return {k: v.astype(np.float32) if v.ndim else v for k, v in out.items()}


def main():
    rng, data = np.random.default_rng(1), []
    for path in sys.argv[3:]:
        x = np.fromfile(path, '<i2').astype(np.float32) / 32768
        for a in range(0, len(x) - 96000 + 1, 96000):
            part = x[a:a + 96000]
            loud = np.sqrt((part**2).mean())
            if loud > 1e-4:
                data += [features(part + rng.standard_normal(len(part)) * loud * 10 ** (-db / 20)) for db in (40, 15, 8)]
    if not data:
        sys.exit('restore.py: no six seconds of sound in ' + ' '.join(sys.argv[3:]))
    r = Reader(open(sys.argv[1], 'rb').read())
    for i in range(int(r.take('<u4', 4)[0])):
        np.savez(f'{sys.argv[2]}{i}.npz', **restored(network(r), data))


if __name__ == '__main__':
    main()
