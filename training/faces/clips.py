"""The networks on real film, beside MediaPipe: recall, distance, lip opening, jitter. Measuring only, never training.

Usage: clips.py MODELS CLIPS MEDIAPIPE [--every N] [--draw DIR] [--only NAME]
MEDIAPIPE holds NAME.npy [frames,478,3] (px, NaN where no face), made by mediapipe_points.py.
"""
import argparse
import glob
import json
import math
import os
import subprocess

import numpy as np
import torch
import torch.nn.functional as F

import data
import nets


def frames(path):
    info = json.loads(subprocess.check_output(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries",
                                               "stream=width,height", "-of", "json", path]))["streams"][0]
    w, h = info["width"], info["height"]
    p = subprocess.Popen(["ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], stdout=subprocess.PIPE)
    while True:
        b = p.stdout.read(w * h * 3)
        if len(b) < w * h * 3:
            break
        yield np.frombuffer(b, np.uint8).reshape(h, w, 3)
    p.wait()


def crop(rgb, c, side, roll, size=nets.LM_SIZE):
    """rgb [H,W,3] u8 -> crop [1,3,size,size] in 0…255 as the note says."""
    H, W = rgb.shape[:2]
    r = int(0.75 * side) + 3
    x0, y0 = min(max(int(c[0]) - r, 0), W - 2), min(max(int(c[1]) - r, 0), H - 2)
    img = torch.from_numpy(rgb[y0:max(int(c[1]) + r, y0 + 2), x0:max(int(c[0]) + r, x0 + 2)].copy()).permute(2, 0, 1)[None].float()
    n = max(1, math.ceil(side / size - 0.25)) if side / size > 1.25 else 1
    u = (torch.arange(size * n) + 0.5) / n - size / 2
    yy, xx = torch.meshgrid(u, u, indexing="ij")
    co, si, k = math.cos(roll), math.sin(roll), side / size
    pos = torch.stack([c[0] - x0 + k * (co * xx - si * yy), c[1] - y0 + k * (si * xx + co * yy)], -1)[None]
    s = torch.tensor([2.0 / img.shape[3], 2.0 / img.shape[2]])
    x = F.grid_sample(img, pos * s - 1, align_corners=False)
    return F.avg_pool2d(x, n) if n > 1 else x


class Tracker:
    """Tracks the best face: the crop comes from the points of the frame before while presence holds."""

    def __init__(self, models, flip=False):
        self.det, self.lm, self.parts = (nets.load(k, os.path.join(models, k + ".safetensors")).to(memory_format=torch.channels_last)
                                         for k in ("face_detector", "face_landmarks", "face_parts"))
        self.flip, self.prev = flip, None
        self.mirror = torch.tensor(data.mirror_points())

    @torch.no_grad()
    def detect(self, rgb, top=3):
        """The best candidates: [(score, points [1,478,2] with only the crop rule's points set)]."""
        H, W = rgb.shape[:2]
        s = nets.DET_SIZE / max(H, W)
        h, w = round(H * s), round(W * s)
        y = F.interpolate(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float(), (h, w), mode="area")
        t, l = (nets.DET_SIZE - h) // 2, (nets.DET_SIZE - w) // 2
        y = F.pad(y, (l, nets.DET_SIZE - w - l, t, nets.DET_SIZE - h - t))
        found = []
        for o, k in zip(self.det(y / 127.5 - 1), (8, 16)):
            sc = o[0, 0].flatten()
            for i in sc.topk(8).indices.tolist():
                r, c = divmod(i, o.shape[3])
                v = o[0, :, r, c]
                ctr = torch.tensor([(c + 0.5) * k, (r + 0.5) * k])
                d = k * torch.exp(v[1:5].clamp(-4, 4))
                p = (ctr + k * v[5:].view(5, 2) - torch.tensor([l, t])) / s
                full = torch.zeros(1, 478, 2)
                for j, ids in enumerate((data.EYE_R, data.EYE_L, (4,), (61,), (291,))):
                    full[0, list(ids)] = p[j]
                box = torch.cat([ctr - d[:2], ctr + d[2:]])
                found.append((1 / (1 + math.exp(-float(sc[i]))), full, box))
        found.sort(key=lambda f: -f[0])
        out = []
        for f in found:
            if all(((f[2][:2] + f[2][2:]) - (g[2][:2] + g[2][2:])).norm() > 0.5 * (g[2][2:] - g[2][:2]).norm() for g in out):
                out.append(f)
        return out[:top]

    @torch.no_grad()
    def points(self, rgb, pts):
        c, side, roll = (t[0] for t in data.roi(pts))
        x = crop(rgb, c.tolist(), float(side), float(roll)) / 127.5 - 1
        out, f = self.lm(x.contiguous(memory_format=torch.channels_last))
        o = out[0, :2048].view(512, 4)
        if self.flip:
            m = self.lm(x.flip(3).contiguous(memory_format=torch.channels_last))[0][0, :2048].view(512, 4)[self.mirror]
            o = 0.5 * (o + m * torch.tensor([-1.0, 1, 1, 1]))
        k = float(side) / 2
        co, si = math.cos(roll), math.sin(roll)
        xy = c + k * (o[:, :2] @ torch.tensor([[co, -si], [si, co]]).t())
        return float(torch.sigmoid(out[0, 2107])), xy, k * o[:, 2:3], torch.exp(o[:, 3].clamp(-3, 3)) * float(side) / nets.LM_SIZE, f, x

    @torch.no_grad()
    def frame(self, rgb, want_parts=False):
        """-> presence, points [512,3], sigma [512], (parts, crop)."""
        best = None
        if self.prev is not None:
            best = self.points(rgb, self.prev)
        if best is None or best[0] < 0.5:
            for score, pts, _ in self.detect(rgb):
                if score > 0.3:
                    r = self.points(rgb, self.points(rgb, pts)[1][None])
                    if best is None or r[0] > best[0]:
                        best = r
        if best is None:
            best = self.points(rgb, torch.rand(1, 478, 2) * 100)
        self.prev = best[1][None] if best[0] >= 0.5 else None
        par = self.parts(best[4])[0].argmax(0).numpy() if want_parts else None
        return best[0], torch.cat([best[1], best[2]], 1).numpy(), best[3].numpy(), (par, best[5][0])


def opening(p, io):
    return np.mean([np.linalg.norm(p[:, a, :2] - p[:, b, :2], axis=1) for a, b in data.LIP_PAIRS[:5]], 0) / io


RIGID = [33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 129, 358, 198, 420, 9, 8, 151, 10, 67, 297, 54, 284, 127, 356, 122, 351]


def jitter(p, io, quiet, ids=slice(0, 468)):
    h = p[1:-1, ids, :2] - 0.5 * (p[:-2, ids, :2] + p[2:, ids, :2])
    return float(np.sqrt((h[quiet] ** 2).sum(-1).mean()) / io.mean() * 100)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("models")
    ap.add_argument("clips")
    ap.add_argument("mediapipe")
    ap.add_argument("--every", type=int, default=1)
    ap.add_argument("--limit", type=int, default=10 ** 9)
    ap.add_argument("--detect", type=int, default=5)
    ap.add_argument("--flip", action="store_true", help="mean with the mirrored crop")
    ap.add_argument("--draw")
    ap.add_argument("--only")
    ap.add_argument("--dump")
    a = ap.parse_args()
    torch.set_num_threads(2)
    print("clip               frames recall  det.recall  face%  (offset-free)  inner lips%  outer%  lids%  corr   slope  jitter ours / MediaPipe")
    rows = []
    for path in sorted(glob.glob(os.path.join(a.clips, "*.mp4"))):
        name = os.path.basename(path)[:-4]
        if a.only and a.only not in name:
            continue
        mp = np.load(os.path.join(a.mediapipe, name + ".npy"))[:, :, :2].astype(np.float64)
        tr = Tracker(a.models, a.flip)
        got, ref, det, found = [], [], [], 0
        for i, rgb in enumerate(frames(path)):
            if i >= min(len(mp), a.limit):
                break
            if i % a.every or np.isnan(mp[i, 0, 0]):
                continue
            draw = a.draw and len(ref) % max(1, (len(mp) // a.every) // 6) == 3
            if len(ref) % a.detect == 0:  # the detector on its own, beside tracking
                d = tr.detect(rgb, 1)[0]
                near = (d[1][0, 4].numpy() - mp[i, 4])
                det.append(d[0] > 0.5 and np.linalg.norm(near) < np.linalg.norm(mp[i, 33] - mp[i, 263]))
            pres, p, sig, par = tr.frame(rgb, draw)
            found += pres >= 0.5
            got.append(p)
            ref.append(mp[i])
            if draw:
                picture(rgb, p, mp[i], par, os.path.join(a.draw, "%s_%04d.png" % (name, i)))
        got, ref = np.array(got), np.array(ref)
        # MediaPipe maps the crop's corner to a pixel's centre: take its half pixel out.
        side = 1.5 * np.maximum(np.ptp(ref[:, :468, 0], 1), np.ptp(ref[:, :468, 1], 1))
        ref = ref - 0.5 * (side / 192 - 1)[:, None, None]
        io = np.linalg.norm(ref[:, 33] - ref[:, 263], axis=1)
        d = got[:, :478, :2] - ref
        e = np.linalg.norm(d, axis=2) / io[:, None] * 100
        free = np.linalg.norm(d - np.median(d / io[:, None, None], 0)[None] * io[:, None, None], axis=2) / io[:, None] * 100
        g0, g1 = opening(ref, io), opening(got, io)
        move = np.abs(np.diff(ref[:, [33, 133, 362, 263, 168, 6], :].mean(1), axis=0)).sum(1)
        m = move[:-1] + move[1:]
        q = m <= np.quantile(m, 0.3)
        r = dict(name=name, n=len(got), recall=found / len(got), det=float(np.mean(det)), face=e[:, :468].mean(), free=free[:, :468].mean(),
                 inner=e[:, data.INNER].mean(), outer=e[:, data.OUTER].mean(), lids=e[:, data.LIDS].mean(),
                 oval=e[:, data.OVAL].mean(), iris=e[:, 468:478].mean(),
                 corr=np.corrcoef(g0, g1)[0, 1], slope=np.polyfit(g0, g1, 1)[0], jit=jitter(got, io, q), jit_mp=jitter(ref, io, q),
                 rigid=jitter(got, io, q, RIGID), rigid_mp=jitter(ref, io, q, RIGID))
        rows.append(r)
        print("%-18s %5d %.4f  %.3f  %6.2f  %6.2f  %6.2f  %6.2f  %6.2f  %.3f  %.2f  %.3f / %.3f   rigid %.3f / %.3f   oval %.2f iris %.2f" % (
            name, r["n"], r["recall"], r["det"], r["face"], r["free"], r["inner"], r["outer"], r["lids"], r["corr"], r["slope"], r["jit"], r["jit_mp"], r["rigid"], r["rigid_mp"], r["oval"], r["iris"]), flush=True)
        if a.dump:
            np.savez(os.path.join(a.dump, name + ".npz"), got=got.astype(np.float32), ref=ref.astype(np.float32))
    w = np.array([r["n"] for r in rows], float)
    mean = {k: float((np.array([r[k] for r in rows]) * w).sum() / w.sum()) for k in rows[0] if k != "name"}
    print("mean " + " ".join("%s %.3f" % kv for kv in mean.items()))


def picture(rgb, p, mp, par, path):
    import zlib
    import struct
    c, side, roll = (t[0] for t in data.roi(torch.tensor(p[None, :478, :2])))
    size = 576
    z = crop(rgb, c.tolist(), float(side), float(roll), size)[0].permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8).copy()
    co, si = math.cos(roll), math.sin(roll)

    def dots(q, col, r):
        d = (q[:, :2] - c.numpy()) @ np.array([[co, -si], [si, co]]) * size / float(side) + size / 2
        for x, y in d:
            x, y = int(x), int(y)
            if r <= x < size - r and r <= y < size - r:
                z[y - r + 1:y + r, x - r + 1:x + r] = col
    dots(mp, (255, 60, 40), 2)
    dots(p[:478], (40, 255, 60), 2)
    dots(p[478:482], (60, 160, 255), 3)
    pal = np.array([[0, 0, 0], [180, 150, 120], [200, 60, 60], [90, 0, 0], [255, 255, 255], [60, 160, 255], [120, 80, 30], [50, 50, 50],
                    [0, 255, 255], [255, 0, 255], [0, 120, 0], [255, 160, 0]], np.uint8)
    seg = pal[par[0]].repeat(3, 0).repeat(3, 1)
    both = np.concatenate([z, np.pad(seg, ((0, 288), (0, 0), (0, 0)))], 1)
    raw = b"".join(b"\0" + row.tobytes() for row in both)
    ch = lambda t, b: struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + ch(b"IHDR", struct.pack(">IIBBBBB", both.shape[1], both.shape[0], 8, 2, 0, 0, 0)) + ch(b"IDAT", zlib.compress(raw, 4)) + ch(b"IEND", b""))


if __name__ == "__main__":
    main()
