"""Shards of synthetic speakers to batches: crops, sound, disturbances. Everything runs on the training device.

Shards come from training/synth (synth_talk): safetensors files of one clip each. See README.md for the names used here.
"""

import contextlib
import glob
import json
import os
import struct
import threading
import time

import numpy as np
import torch
import torch.nn.functional as F

from model import BANDS, COLUMNS, EYES, FLOW, MOUTH, POINTS, SCALE, SIZE

RATE, HOP, FFT = 16000, 200, 800
# Points that do not move with speech, and where they lie on a frontal face in interocular distances from the middle
# between the outer eye corners (x to the subject's left, y up). The same table is in src/lipsync/wav2lip_crop.c.
RIGID = {
    33: (-0.5, 0.0), 133: (-0.1925, -0.008), 362: (0.1925, -0.008), 263: (0.5, 0.0), 168: (0.0, 0.0762), 6: (0.0, -0.0066),
    197: (0.0, -0.0811), 195: (0.0, -0.1501), 5: (0.0, -0.2245), 4: (0.0, -0.3193), 122: (-0.064, -0.0273),
    351: (0.064, -0.0273), 129: (-0.2358, -0.3984), 358: (0.2358, -0.3984),
}
OUTER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]
INNER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]
CHIN = 152
MOUTH_POINTS = OUTER + INNER + [CHIN]
# The same points seen in a mirror: rings begin at the subject's right corner and have 20 points.
MIRRORED = [(10 - i) % 20 for i in range(20)] + [20 + (10 - i) % 20 for i in range(20)] + [40]
EYE_CORNERS = (33, 263)
GAP = (13, 14)


_places = {}


def place(ids, device):
    """Indices as a tensor on the device, made once: a list would be copied there each time it is used."""
    key = (tuple(ids), str(device))
    if key not in _places:
        _places[key] = torch.tensor(list(ids), device=device)
    return _places[key]


def constant(values, device):
    key = (values, str(device))
    if key not in _places:
        _places[key] = torch.tensor(values, device=device)
    return _places[key]


def read_safetensors(path):
    """Names to numpy arrays, no library needed."""
    kinds = {"U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        head = json.loads(f.read(n))
        body = f.read()
    out = {}
    for name, t in head.items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        out[name] = np.frombuffer(body, kinds[t["dtype"]], count=-1, offset=0)[:0] if a == b else np.frombuffer(
            body[a:b], kinds[t["dtype"]]
        )
        out[name] = out[name].reshape(t["shape"])
    return out


# ---- sound ----


def mel_filters():
    """80 Slaney triangles between 55 and 7600 Hz on 401 bins (spec of the published front end)."""

    def mel(f):
        return np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1e-9) / 1000) * 27 / np.log(6.4))

    def hz(m):
        return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))

    edge = hz(np.linspace(mel(np.array(55.0)), mel(np.array(7600.0)), BANDS + 2))
    f = np.arange(FFT // 2 + 1) * (RATE / FFT)
    up = (f[None] - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
    down = (edge[2:, None] - f[None]) / (edge[2:] - edge[1:-1])[:, None]
    return (np.maximum(0, np.minimum(up, down)) * (2 / (edge[2:] - edge[:-2]))[:, None]).astype(np.float32)


def mel_of(wave):
    """Wav2Lip's mel of a mono 16 kHz sound [n] (float tensor): [80, 1 + n/200], values in [-4, 4]."""
    x = wave.double()
    x = torch.cat([x[:1], x[1:] - 0.97 * x[:-1]])
    s = torch.stft(
        x, FFT, HOP, FFT, torch.hann_window(FFT, periodic=True, dtype=x.dtype, device=x.device), center=True,
        pad_mode="reflect", return_complex=True,
    ).abs().float()
    m = torch.from_numpy(mel_filters()).to(wave.device) @ s
    db = 20 * torch.log10(m.clamp_min(1e-5)) - 20
    return (8 * ((db + 100) / 100) - 4).clamp(-4, 4)


def disturb_mel(x):
    """Windows [B,80,T] as other voices, rooms and microphones would have them."""
    b, n, t = x.shape
    dev = x.device

    def rand(*s):
        return torch.rand(*s, device=dev)

    much = rand(b)  # how strange this sound is
    # another vocal tract: bands moved along the frequency axis
    stretch = 1 + (rand(b) - 0.5) * 0.34 * much
    y = torch.arange(n, device=dev)[None] * stretch[:, None] + (rand(b, 1) - 0.5) * 3
    y0 = y.floor().clamp(0, n - 2)
    f = (y - y0).clamp(0, 1)
    i = y0.long()[:, :, None].expand(-1, -1, t)
    x = torch.gather(x, 1, i) * (1 - f[:, :, None]) + torch.gather(x, 1, i + 1) * f[:, :, None]
    # microphone: a smooth curve over the bands; loudness (12.5 dB per unit)
    curve = F.interpolate((rand(b, 1, 7) - 0.5) * 1.6, size=n, mode="linear", align_corners=True)[:, 0]
    x = x + (curve * much[:, None])[:, :, None] + ((rand(b) - 0.6) * 2.4)[:, None, None]
    x = x + torch.linspace(0, 1, n, device=dev)[None, :, None] * ((rand(b) - 0.5) * 2.0 * much)[:, None, None]
    # room: a tail that fades by so much per column; noise of a smooth spectrum: both add as power
    fade = torch.where(rand(b) < 0.35, 0.25 + rand(b) * 1.0, torch.full((b,), 9.0, device=dev))
    tail = [x[:, :, 0]]
    for k in range(1, t):
        tail.append(torch.maximum(x[:, :, k], tail[-1] - fade[:, None]))
    x = torch.maximum(x, torch.stack(tail, 2) - 0.8)
    level = torch.where(rand(b) < 0.5, -3.5 + rand(b) * 2.6, torch.full((b,), -6.0, device=dev))
    noise = F.interpolate((rand(b, 1, 6) - 0.5) * 2, size=n, mode="linear", align_corners=True)[:, 0]
    noise = level[:, None, None] + noise[:, :, None] + 0.25 * torch.randn(b, n, t, device=dev)
    k = 12.5 / 10 * 2.302585
    x = torch.logaddexp(x * k, noise * k) / k
    cut = torch.where(rand(b) < 0.2, 45 + rand(b) * 35, torch.full((b,), 200.0, device=dev))
    x = x - (torch.arange(n, device=dev)[None] - cut[:, None]).clamp_min(0)[:, :, None] * 0.4
    return x.clamp(-4, 4)


def label_columns(t, length, device):
    """Phone of every mel column of all entries, one after the other."""
    out = []
    off = t["phone_offset"]
    for i, n in enumerate(length):
        end = t["phone_end"][off[i] : off[i + 1]].astype(np.float64)
        ids = t["phone_id"][off[i] : off[i + 1]].astype(np.int64)
        k = np.minimum(np.searchsorted(end, np.arange(n) / 80, side="right"), len(ids) - 1)
        out.append(ids[k])
    return torch.from_numpy(np.concatenate(out)).to(device)


class Speech:
    """All sounds of the speech file as mel, and what is said when."""

    def __init__(self, path, device):
        t = read_safetensors(path)
        wave, off = t["wave"], t["wave_offset"].astype(np.int64)
        self.mel, self.first = [], []
        n = 0
        for i in range(len(off) - 1):
            w = torch.from_numpy(wave[off[i] : off[i + 1]].astype(np.float32) / 32768).to(device)
            m = mel_of(w)
            self.first.append(n)
            self.mel.append(m)
            n += m.shape[1]
        self.length = torch.tensor([m.shape[1] for m in self.mel], device=device)
        self.first = torch.tensor(self.first, device=device)
        self.mel = torch.cat(self.mel, 1)  # [80, all]
        self.device = device
        self.phones = label_columns(t, self.length.tolist(), device)

    def windows(self, entry, seconds):
        """Mel around `seconds` of entries: [B,80,COLUMNS + 16], the first 16 columns for the room's tail only."""
        start = (seconds.double() * 80).floor().long() - COLUMNS // 2
        start = torch.minimum(start.clamp_min(0), (self.length[entry] - COLUMNS).clamp_min(0))
        col = start[:, None] - 16 + torch.arange(COLUMNS + 16, device=self.device)[None]
        col = torch.minimum(col.clamp_min(0), (self.length[entry] - 1)[:, None]) + self.first[entry][:, None]
        return self.mel[:, col].permute(1, 0, 2)


class Said:
    """What is said and how a mouth moves with it, without pictures: shards of small clips, read once."""

    def __init__(self, folder, speech, device):
        self.speech, self.device = speech, device
        rows = []
        for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
            t = read_safetensors(path)
            n = t["landmarks"].shape[0]
            p = torch.from_numpy(t["landmarks"][:, :478].astype(np.float32).copy())
            mouth = frontal(p, torch.from_numpy(t["pose"].astype(np.float32).copy()))
            order = torch.argsort((p[:, GAP[0], :2] - p[:, GAP[1], :2]).norm(dim=1))
            rest = mouth[order[: max(2, n // 5)]].mean(0, keepdim=True)
            second = float(np.ravel(t["start"])[0]) + np.arange(n) / float(np.ravel(t["fps"])[0])
            entry = np.full(n, int(np.ravel(t["speech"])[0]))
            rows.append((((mouth - rest) * 16).flatten(1), torch.from_numpy(t["weights"].astype(np.float32).copy()),
                         torch.from_numpy(second), torch.from_numpy(entry)))
        self.mouth, self.weights, self.second, self.entry = (torch.cat(c).to(device) for c in zip(*rows))

    def drawn(self, b):
        """Windows of sound, the phone in their middle, mouth and weights at that time."""
        i = (torch.rand(b, device=self.device) * len(self.entry)).long().clamp_max(len(self.entry) - 1)
        s, entry, second = self.speech, self.entry[i], self.second[i]
        column = torch.minimum((second * 80).long(), s.length[entry] - 1)
        return s.windows(entry, second), s.phones[s.first[entry] + column], self.mouth[i], self.weights[i]


# ---- mouths ----


def frontal(points, pose):
    """Points [N,P,3] px and their pose [N,7] to [N,P,2] on the head seen from the front, x to the subject's left, y up,
    in interocular distances from the mean of the points that do not move."""
    q = pose[:, :4] / pose[:, :4].norm(dim=1, keepdim=True).clamp_min(1e-6)
    w, x, y, z = q.unbind(1)
    r = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z),
            1 - 2 * (x * x + z * z), 2 * (y * z - w * x), 2 * (x * z - w * y), 2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        1,
    ).reshape(-1, 3, 3)
    camera = points * torch.tensor([1.0, -1.0, -1.0], device=points.device)
    head = torch.einsum("nji,npj->npi", r, camera)
    scale = (head[:, EYE_CORNERS[0]] - head[:, EYE_CORNERS[1]]).norm(dim=1).clamp_min(1e-3)
    head = head - head[:, place(RIGID, points.device)].mean(1, keepdim=True)
    return (head / scale[:, None, None])[:, place(MOUTH_POINTS, points.device), :2]


# ---- pictures ----


def template():
    """[14,2] px of the crop."""
    p = np.array(list(RIGID.values()), np.float32)
    return np.stack([SIZE / 2 + SCALE * p[:, 0], EYES - SCALE * p[:, 1]], 1)


def fit_similarity(src, dst, weight=None):
    """Least-squares similarity src [N,P,2] to dst [P,2] or [N,P,2]: [N,2,3]."""
    if dst.ndim == 2:
        dst = dst[None].expand_as(src)
    ms, md = src.mean(1, keepdim=True), dst.mean(1, keepdim=True)
    s, d = src - ms, dst - md
    den = (s * s).sum((1, 2)).clamp_min(1e-6)
    a = (s * d).sum((1, 2)) / den
    b = (s[..., 0] * d[..., 1] - s[..., 1] * d[..., 0]).sum(1) / den
    m = torch.stack([torch.stack([a, -b], 1), torch.stack([b, a], 1)], 1)
    t = md[:, 0] - torch.einsum("nij,nj->ni", m, ms[:, 0])
    return torch.cat([m, t[:, :, None]], 2)


def inverse(m):
    """Of 2 × 2 matrices [N,2,2]."""
    a, b, c, d = m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
    k = 1 / (a * d - b * c)
    return torch.stack([torch.stack([d * k, -b * k], 1), torch.stack([-c * k, a * k], 1)], 1)


class Clips:
    """Frames of all shards read so far, on the device. A thread reads further ones as they appear."""

    def __init__(self, folder, device, room):
        self.folder, self.device = folder, device
        self.image = torch.empty(room, 256, 256, 3, dtype=torch.uint8, device=device)
        self.points = torch.empty(room, 478, 2, device=device)
        self.gap = torch.empty(room, device=device)
        self.mouth = torch.empty(room, MOUTH, device=device)
        self.second = torch.empty(room, dtype=torch.float64, device=device)
        self.entry = torch.empty(room, dtype=torch.long, device=device)
        # Two tables of clips, training and held out: first frame, frames, 16 closed and 16 open ones each.
        self.table = torch.zeros(2, room // 8 + 1, 34, dtype=torch.long, device=device)
        self.count = torch.zeros(2, device=device)
        self.n = [0, 0]
        self.used, self.seen, self.stop = 0, set(), False
        self.template = torch.from_numpy(template()).to(device)
        self.lock = threading.Lock()
        self.stream = torch.cuda.Stream() if torch.device(device).type == "cuda" else None

    def add(self, path):
        try:
            t = read_safetensors(path)
        except Exception as e:  # a shard that is not whole is looked at again later
            print("shard", path, e, flush=True)
            return False
        n = t["image"].shape[0]
        if self.used + n > self.image.shape[0]:
            self.stop = True
            return False
        a = self.used
        with self.aside():
            row, h = self.copy(t, a, n)
        if self.stream is not None:
            row.record_stream(torch.cuda.current_stream())
        self.table[h, self.n[h]] = row
        self.n[h] += 1
        self.count[h] = self.n[h]
        self.used += n
        return True

    @contextlib.contextmanager
    def aside(self):
        """What is copied here does not queue behind the steps of training; it is there when the block is left."""
        if self.stream is None:
            yield
            return
        with torch.cuda.stream(self.stream):
            yield
        self.stream.synchronize()

    def copy(self, t, a, n):
        """A clip's tensors to frames a … a + n; its row of the table, and which table."""
        self.image[a : a + n] = torch.from_numpy(t["image"].copy()).to(self.device)
        p = torch.from_numpy(t["landmarks"][:, :478, :2].astype(np.float32).copy()).to(self.device)
        self.points[a : a + n] = p
        gap = (p[:, GAP[0]] - p[:, GAP[1]]).norm(dim=1) / (p[:, EYE_CORNERS[0]] - p[:, EYE_CORNERS[1]]).norm(dim=1)
        self.gap[a : a + n] = gap
        fps = float(np.ravel(t["fps"])[0])
        start = float(np.ravel(t["start"])[0])
        self.second[a : a + n] = start + torch.arange(n, device=self.device).double() / fps
        self.entry[a : a + n] = int(np.ravel(t["speech"])[0])
        order = torch.argsort(gap)
        k = max(2, n // 5)
        xyz = torch.from_numpy(t["landmarks"][:, :478].astype(np.float32).copy()).to(self.device)
        mouth = frontal(xyz, torch.from_numpy(t["pose"].astype(np.float32).copy()).to(self.device))
        self.mouth[a : a + n] = ((mouth - mouth[order[:k]].mean(0, keepdim=True)) * 16).flatten(1)
        some = torch.linspace(0, k - 1, 16, device=self.device).round().long()
        row = torch.cat([torch.tensor([a, n], device=self.device), a + order[:k][some], a + order[-k:][some]])
        return row, int(int(np.ravel(t["person"])[0]) % 16 == 0)

    def poll(self):
        for path in sorted(glob.glob(os.path.join(self.folder, "*.safetensors"))):
            if path not in self.seen and not self.stop:
                with self.lock:
                    if self.add(path):
                        self.seen.add(path)

    def watch(self):
        def loop():
            while not self.stop:
                self.poll()
                time.sleep(0.5)

        threading.Thread(target=loop, daemon=True).start()


class Batcher:
    """Batches for the network: dictionary of device tensors."""

    def __init__(self, clips, speech, device):
        self.clips, self.speech, self.device = clips, speech, device

    def frames(self, b, held_out):
        c, h = self.clips, int(held_out)
        u = torch.rand(4, b, device=self.device)
        row = c.table[h][torch.minimum((u[0] * c.count[h]).long(), c.count[h].long() - 1)]
        target = row[:, 0] + torch.minimum((u[1] * row[:, 1]).long(), row[:, 1] - 1)
        pick = (u[2:] * 16).long().clamp_max(15)
        rest = row[:, 2:18].gather(1, pick[0][:, None])[:, 0]
        return target, rest, row[:, 18:34].gather(1, pick[1][:, None])[:, 0]

    def rand(self, *s):
        return torch.rand(*s, device=self.device)

    def randn(self, *s):
        return torch.randn(*s, device=self.device)

    def bump(self, b, cells, px):
        """A smooth random displacement of the crop, [B,2,S,S] px."""
        return F.interpolate(self.randn(b, 2, cells, cells) * px, size=(SIZE, SIZE), mode="bicubic", align_corners=True)

    def crops(self, index, shared, wild, flip, jitter):
        """Aligned crops of frames and their points in the crop. `shared`: bends all pictures of a sample alike."""
        c, b = self.clips, len(index)
        p = c.points[index]
        noisy = p[:, place(RIGID, p.device)] + (self.randn(b, len(RIGID), 2) * jitter if jitter else 0)
        m = fit_similarity(noisy, c.template)  # frame px to crop px
        if wild is not None:
            m = torch.einsum("nij,njk->nik", wild[:, :, :2], m) + torch.cat(
                [torch.zeros(b, 2, 2, device=self.device), wild[:, :, 2:]], 2
            )
        inv = inverse(m[:, :, :2])
        y, x = torch.meshgrid(
            torch.arange(SIZE, device=self.device) + 0.5, torch.arange(SIZE, device=self.device) + 0.5, indexing="ij"
        )
        at = torch.stack([x, y])[None].expand(b, -1, -1, -1)
        at = at + shared if shared is not None else at
        at = torch.where(flip[:, None, None, None], torch.stack([SIZE - at[:, 0], at[:, 1]], 1), at)
        q = torch.einsum("nij,njhw->nihw", inv, at - m[:, :, 2][:, :, None, None])
        picture = c.image[index].permute(0, 3, 1, 2).float() / 255
        grid = (q / 128 - 1).permute(0, 2, 3, 1)
        crop = F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
        pts = torch.einsum("nij,npj->npi", m[:, :, :2], p) + m[:, None, :, 2]
        pts = torch.where(flip[:, None, None], torch.stack([SIZE - pts[..., 0], pts[..., 1]], 2), pts)
        if shared is not None:  # where a point lies after the bend: q + shared(q) = p
            q = pts
            for _ in range(3):
                g = (q / (SIZE / 2) - 1)[:, None]
                d = F.grid_sample(shared, g, mode="bilinear", padding_mode="border", align_corners=False)
                q = pts - d[:, :, 0].permute(0, 2, 1)
            pts = q
        return crop, pts

    def colours(self, b):
        """A colour matrix and offset, gamma, contrast for a clip."""
        eye = torch.eye(3, device=self.device)[None]
        m = eye * (1 + 0.25 * (self.rand(b, 3, 1) - 0.5) * 2) + 0.08 * self.randn(b, 3, 3)
        grey = constant((0.3, 0.59, 0.11), self.device)
        sat = (0.3 + 1.1 * self.rand(b, 1, 1))
        m = sat * m + (1 - sat) * grey[None, None, :].expand(b, 3, 3)
        gain = 0.6 + 0.8 * self.rand(b, 1, 1)
        return m * gain, 0.12 * (self.rand(b, 3) - 0.5), torch.exp(0.5 * (self.rand(b) - 0.5) * 2)

    def paint(self, x, c, shade):
        m, o, gamma = c
        y = torch.einsum("nij,njhw->nihw", m, x) + o[:, :, None, None]
        y = y.clamp(1e-3, 1) ** gamma[:, None, None, None]
        return (y * shade).clamp(0, 1)

    def batch(self, b, held_out=False, disturb=True):
        target, rest, open_ = self.frames(b, held_out)
        d = 1.0 if disturb else 0.0
        flip = self.rand(b) < (0.5 * d)
        shared = (self.bump(b, 4, 2.2) + self.bump(b, 8, 0.9)) * d if disturb else None
        wild = None
        if disturb:
            s = 1 + 0.10 * self.randn(b).clamp(-2, 2)
            ax = 1 + 0.06 * self.randn(b).clamp(-2, 2)
            z = torch.zeros(b, device=self.device)
            a = torch.stack([torch.stack([s * ax, 0.03 * self.randn(b)], 1), torch.stack([z, s / ax], 1)], 1)
            ctr = constant((SIZE / 2, 60.0), self.device)
            t = ctr - torch.einsum("nij,j->ni", a, ctr) + 2.0 * self.randn(b, 2)
            wild = torch.cat([a, t[:, :, None]], 2)
        jitter = 0.45 if disturb else 0
        out, crops = {}, []
        for name, index in (("target", target), ("rest", rest), ("open", open_)):
            crop, pts = self.crops(index, shared, wild, flip, jitter)
            out[name + "_points"] = pts
            crops.append(crop)
        crops = self.rows(crops, [out[k + "_points"] for k in ("target", "rest", "open")])
        if disturb:
            c = self.colours(b)
            light = F.interpolate(self.randn(b, 1, 3, 3) * 0.15, size=(SIZE, SIZE), mode="bicubic", align_corners=True)
            blur = (self.rand(b) * 1.6 - 0.5).clamp_min(0)
            noise = 0.03 * self.rand(b) ** 2
            painted = []
            for crop in crops:
                own = 1 + 0.02 * self.randn(b, 3, 1, 1)
                painted.append(soften(self.paint(crop, c, torch.exp(light) * own), blur))
            out["target"] = painted[0]
            out["clean"] = painted[1:]
            crops = [coded((p + noise[:, None, None, None] * self.randn(*p.shape)).clamp(0, 1), self.rand(b)) for p in painted]
        else:
            out["target"] = crops[0]
            out["clean"] = crops[1:]
        out["seen"], out["rest"], out["open"] = crops
        out.update(self.wish(out, flip, 1.0 if disturb else 0.0))
        if not disturb:  # to judge the ear; it learns from Said
            out["mel"] = self.speech.windows(self.clips.entry[target], self.clips.second[target])[:, None, :, 16:]
            out["mouth"] = self.clips.mouth[target]
        return out

    def wish(self, x, flip, much):
        """The mouth wished for, as the product would know it, and planes that mark the lips of all three. A tracker is
        wrong about a person in one way all the time, and in each frame in another way a little: sizes and smoothness are
        those of the product's own tracker on rendered clips, up to twice as large for real people."""
        b, dev = len(flip), self.device
        scale = 0.6 + 1.6 * self.rand(b, 1, 1)
        person = scale * ring_error(b, 0.45, 1.1, (0.9, 1.2), dev)
        closer = 1 - much * (0.22 * self.rand(b, 1) - 0.05)  # openings are told a little too small
        out, sets = {}, []
        for name in ("target", "rest", "open"):
            p = x[name + "_points"][:, place(MOUTH_POINTS, dev)]
            p = torch.where(flip[:, None, None], p[:, place(MIRRORED, dev)], p)
            middle = p[:, 20:40].mean(1, keepdim=True)
            lips = p[:, :40] - middle
            lips = middle + torch.stack([lips[..., 0], lips[..., 1] * closer], 2)
            p = torch.cat([lips, p[:, 40:]], 1)
            wide = 1 + much * 0.015 * self.randn(b, 1, 2)
            p = (p - p.mean(1, keepdim=True)) * wide + p.mean(1, keepdim=True)
            frame = scale * (ring_error(b, 0.22, 2.2, (0.35, 0.5), dev) + 0.16 * self.randn(b, 1, 2))
            sets.append(p + much * (person + frame))
            key = "wish_lips" if name == "target" else name + "_lips"
            out[key] = 0.5 * (polygon(sets[-1][:, :20]) + polygon(sets[-1][:, 20:40]))
        out["wish"] = torch.cat([sets[0] - sets[1], sets[0] - sets[2]], 2).flatten(1) / FLOW
        return out

    def rows(self, crops, points, share=0.65):
        """Other insides of mouths: the heads hardly ever show a lower row of teeth, many people who speak show no other. An
        upper row that stays with the head, a lower one that goes with the jaw, the dark and perhaps a tongue between them,
        behind the lips of each of the three pictures (target, rest, open), alike in all."""
        b, dev = crops[0].shape[0], self.device
        u = lambda lo, hi: lo + (hi - lo) * self.rand(b, 1, 1)
        pick = lambda p, k: p[:, k][:, :, None, None]  # [B,2,1,1]
        nose = [(p[:, 129] + p[:, 358] + p[:, 2])[:, :, None, None] / 3 for p in points]
        chin = [pick(p, CHIN) for p in points]
        line = (pick(points[1], 13) + pick(points[1], 14))[:, 1] / 2  # where lips at rest meet
        upper = 0.5 + 2.6 * self.randn(b, 1, 1).clamp(-2, 2)
        lower = upper - 1.5 + 1.8 * self.randn(b, 1, 1).abs()
        arch = (u(-0.002, 0.011), u(-0.008, 0.006))
        tooth, phase = (u(3.2, 6.2), u(2.4, 4.4)), u(-0.15, 0.15)
        gap, scallop, fall = u(0, 0.35), u(0, 0.8), u(9, 24)
        high = u(5, 9)
        top = slice(48, SIZE)
        y, x = torch.meshgrid(torch.arange(48, SIZE, device=dev) + 0.5, torch.arange(SIZE, device=dev) + 0.5, indexing="ij")
        cheek = constant((0.3, 0.59, 0.11), dev)
        skin = (crops[1][:, :, 56:72] * cheek[None, :, None, None]).sum(1).mean((1, 2))[:, None, None]
        warm = u(0, 0.3)
        tint = torch.stack([torch.ones_like(warm), 1 - 0.25 * warm, 1 - 0.8 * warm], 1)  # [B,3,1,1]
        tone = (skin * u(0.7, 1.9)).clamp(0.05, 0.97)[:, None] * tint
        dark = (skin * u(0.02, 0.3))[:, None] * constant((1.0, 0.6, 0.55), dev)[None, :, None, None]
        flesh = (skin * u(0.25, 0.8))[:, None] * constant((1.25, 0.8, 0.8), dev)[None, :, None, None]
        tongue, place_ = (self.rand(b, 1, 1) < 0.6).float(), u(-2, 4)
        shade, reach = u(0, 0.85) * (self.rand(b, 1, 1) < 0.7).float(), u(1, 6)
        seen = (self.rand(b, 1, 1, 1) < share).float()
        made = []
        for crop, p, n, c in zip(crops, points, nose, chin):
            hole = inside(p[:, place(INNER, dev)], y, x)
            jaw = c[:, 1] - chin[1][:, 1]  # how far the jaw has gone down since the moment at rest
            head = n[:, 1] - nose[1][:, 1]
            dx = (x[None] - n[:, 0], x[None] - 0.5 * (n[:, 0] + c[:, 0]))
            edge = (line + head + upper - arch[0] * dx[0] ** 2, line + jaw + lower + arch[1] * dx[1] ** 2)
            part = []
            for k in (0, 1):
                across = dx[k] / tooth[k] + phase + 0.5 * k
                border = torch.exp(-(((across - across.round()) / 0.11) ** 2))
                e = edge[k] + (1 - 2 * k) * scallop * (0.5 - 2 * (across - across.round()) ** 2)
                on = torch.sigmoid(4 * (e - y)) if k == 0 else torch.sigmoid(4 * (y - e)) * torch.sigmoid(3 * (e + high - y))
                light = (1 - gap * border) * torch.exp(-((dx[k] / fall) ** 2))
                part.append((on, light))
            middle = edge[1] + place_
            bump = tongue * torch.sigmoid(1.2 * (y - middle)) * torch.exp(-((dx[1] / 11) ** 4))
            z = dark + bump[:, None] * (flesh - dark)
            z = z + (torch.sigmoid(3 * (y - edge[1] - high)))[:, None] * (flesh - z)
            for k in (1, 0):
                on, light = part[k]
                z = z + on[:, None] * (tone * light[:, None] - z)
            down = torch.cumsum(hole, 1)
            z = z * (1 - shade * torch.exp(-down / reach))[:, None]
            full = crop.clone()
            m = hole[:, None] * seen
            full[:, :, top] = crop[:, :, top] + m * (z.clamp(0, 1) - crop[:, :, top])
            made.append(full)
        return made


def inside(p, y, x):
    """Coverage [B,h,w] of closed polygons p [B,K,2] px at the pixels whose centres y, x name, edges a pixel wide."""
    parity = torch.zeros(p.shape[0], *y.shape, device=p.device)
    q = torch.roll(p, -1, 1)
    for k in range(p.shape[1]):
        x0, y0, x1, y1 = (v[:, None, None] for v in (p[:, k, 0], p[:, k, 1], q[:, k, 0], q[:, k, 1]))
        at = x0 + (y - y0) / torch.where((y1 - y0).abs() < 1e-6, torch.full_like(y0, 1e-6), y1 - y0) * (x1 - x0)
        parity = parity + (((y0 > y) != (y1 > y)) & (x < at)).float()
    hard = torch.remainder(parity, 2)[:, None]
    return F.avg_pool2d(F.pad(hard, (1, 1, 1, 1), mode="replicate"), 3, 1)[:, 0]


def soften(x, sigma):
    """Gaussian blur with a sigma of its own for each sample."""
    r = 4
    k = torch.arange(-r, r + 1, device=x.device).float()
    w = torch.exp(-0.5 * (k[None] / sigma.clamp_min(0.05)[:, None]) ** 2)
    w = w / w.sum(1, keepdim=True)
    b, c, h, wd = x.shape
    y = F.pad(x, (r, r, r, r), mode="replicate").reshape(1, b * c, h + 2 * r, wd + 2 * r)
    w = w[:, None].expand(b, c, w.shape[1]).reshape(b * c, -1)
    y = F.conv2d(y, w[:, None, None, :], groups=b * c)
    y = F.conv2d(y, w[:, None, :, None], groups=b * c)
    return y.reshape(b, c, h, wd)


def dct8(device):
    k = torch.arange(8, device=device).float()
    m = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    m[0] /= 2**0.5
    return m


def coded(x, u):
    """Blocks of 8 × 8 quantised as a codec would, each sample with its own strength (u in [0,1]; below 0.4 not at all)."""
    b, c, h, w = x.shape
    m = dct8(x.device)
    step = ((u - 0.4).clamp_min(0) / 0.6) ** 2 * 0.12
    y = x.reshape(b, c, h // 8, 8, w // 8, 8)
    f = torch.einsum("ij,bchjwk,lk->bchiwl", m, y, m)
    k = torch.arange(8, device=x.device).float()
    q = (0.3 + 0.25 * (k[:, None] + k[None])).reshape(1, 1, 1, 8, 1, 8) * step.reshape(b, 1, 1, 1, 1, 1)
    on = (step > 1e-4).reshape(b, 1, 1, 1, 1, 1)
    f = torch.where(on, torch.round(f / q.clamp_min(1e-4)) * q, f)
    return torch.einsum("ij,bchiwl,lk->bchjwk", m, f, m).reshape(b, c, h, w).clamp(0, 1)


def along(x, sigma):
    """Values [B,2,N,2] of rings of N points made smooth along the ring: Gaussian of `sigma` points, the size kept."""
    n = x.shape[2]
    d = torch.arange(n, device=x.device).float()
    d = torch.minimum(d, n - d)
    k = torch.exp(-0.5 * (d / sigma) ** 2)
    k = k / k.norm()
    place_ = (torch.arange(n, device=x.device)[:, None] - torch.arange(n, device=x.device)[None]) % n
    return torch.einsum("ij,brja->bria", k[place_], x)


def ring_error(b, size, sigma, chin, device):
    """How a tracker is wrong about a mouth, [B,41,2] px: smooth along the lips, alike on inner and outer ones."""
    both = torch.randn(b, 1, 20, 2, device=device)
    own = torch.randn(b, 2, 20, 2, device=device)
    share = constant((0.9, 0.6), device)  # of the two rings' error that they have in common, x and y
    lips = along(both * share + own * (1 - share**2).sqrt(), sigma) * size
    point = torch.randn(b, 1, 2, device=device) * constant(chin, device)
    return torch.cat([lips.reshape(b, 40, 2), point], 1)


def polygon(p):
    """Soft coverage of closed polygons p [B,K,2] (px) on the crop, [B,1,S,S]."""
    s = SIZE // 2  # at half the size: the mask is smooth anyway
    y, x = torch.meshgrid(
        2 * torch.arange(s, device=p.device) + 1.0, 2 * torch.arange(s, device=p.device) + 1.0, indexing="ij"
    )
    inside = torch.zeros(p.shape[0], s, s, device=p.device)
    a, q = p, torch.roll(p, -1, 1)
    for k in range(p.shape[1]):
        x0, y0, x1, y1 = a[:, k, 0], a[:, k, 1], q[:, k, 0], q[:, k, 1]
        x0, y0, x1, y1 = (v[:, None, None] for v in (x0, y0, x1, y1))
        cross = (y0 > y) != (y1 > y)
        at = x0 + (y - y0) / torch.where((y1 - y0).abs() < 1e-6, torch.full_like(y0, 1e-6), y1 - y0) * (x1 - x0)
        inside = inside + (cross & (x < at)).float()
    even = torch.remainder(inside, 2)
    return F.interpolate(even[:, None], size=(SIZE, SIZE), mode="bilinear", align_corners=False)
