"""Pictures and labels on the device.

Does: read the generator's shards while it writes them, keep them as bytes in device memory, cut crops with exact
labels. Does not: change colours (augment.py).
"""
import os
import re
import threading
import time

import numpy as np
import torch
import torch.nn.functional as F

import nets

HERE = os.path.dirname(os.path.abspath(__file__))
# Eye corners and mouth corners of the crop rule; docs/notes/face-networks.md.
EYE_R, EYE_L, MOUTH = (33, 133), (263, 362), (61, 291)
CM_EYES, CM_MOUTH, CM_SIDE, CM_OUTER = 6.24, 6.94, 20.0, 8.93
LIP_PAIRS = [(13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88), (310, 318), (191, 95), (415, 324)]
LID_PAIRS = [(159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)]
INNER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]
OUTER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]
MIDLIP = [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86,
          15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407]
LIDS = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 263, 249, 390, 373, 374, 380, 381,
        382, 362, 398, 384, 385, 386, 387, 388, 466]
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
        136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]

# Groups whose places to each other make the pose: those that speech does not move, and those it does.
STIFF = [[33, 133], [362, 263], [168, 6], [197, 195], [4, 5], [129, 198], [358, 420], [9, 8], [151, 10], [67, 54], [297, 284], [127, 356]]
LOOSE = [[0, 13, 37, 267], [17, 14, 84, 314], [61, 291], [152, 148, 377]]


def mirror_points():
    """The mirror table of training/synth/points.c."""
    for p in (os.path.join(HERE, "points.c"), os.path.join(HERE, "../synth/points.c")):
        if os.path.exists(p):
            t = open(p).read()
            t = t[t.index("pz_syn_marks_mirror[PZ_SYN_N_MARKS] = {"):]
            m = [int(x) for x in re.findall(r"\d+", t[t.index("{"):t.index("}")])]
            assert len(m) == 512 and all(m[m[i]] == i for i in range(512))
            return m
    raise FileNotFoundError("points.c")


def mirror_weights(names):
    """Order of the expression weights after a flip, from their names."""
    def other(n):
        if n.endswith("_L"):
            return n[:-1] + "R"
        if n.endswith("_R"):
            return n[:-1] + "L"
        if n in ("jawLeft", "mouthLeft"):
            return n.replace("Left", "Right")
        if n in ("jawRight", "mouthRight"):
            return n.replace("Right", "Left")
        return n
    return [names.index(other(n)) for n in names]


EXPRESSIONS = ("browDown_L browDown_R browInnerUp_L browInnerUp_R browOuterUp_L browOuterUp_R cheekPuff_L cheekPuff_R "
               "cheekSquint_L cheekSquint_R eyeBlink_L eyeBlink_R eyeLookDown_L eyeLookDown_R eyeLookIn_L eyeLookIn_R "
               "eyeLookOut_L eyeLookOut_R eyeLookUp_L eyeLookUp_R eyeSquint_L eyeSquint_R eyeWide_L eyeWide_R jawForward "
               "jawLeft jawOpen jawRight mouthClose mouthDimple_L mouthDimple_R mouthFrown_L mouthFrown_R mouthFunnel "
               "mouthLeft mouthLowerDown_L mouthLowerDown_R mouthPress_L mouthPress_R mouthPucker mouthRight "
               "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmile_L mouthSmile_R mouthStretch_L "
               "mouthStretch_R mouthUpperUp_L mouthUpperUp_R noseSneer_L noseSneer_R").split()
assert len(EXPRESSIONS) == nets.N_WEIGHTS


class Cache:
    """A ring of records on the device. `n` is how many may be read."""
    FIELDS = {"image": (torch.uint8, (256, 256, 3)), "landmarks": (torch.float32, (512, 3)), "visible": (torch.uint8, (512,)),
              "parts": (torch.uint8, (128, 128)), "weights": (torch.float32, (53,)), "pose": (torch.float32, (7,)),
              "attributes": (torch.uint8, (16,)), "gap": (torch.float32, ()), "person": (torch.int32, ())}

    def __init__(self, size, device):
        self.size, self.device, self.n, self.seen, self.bad = size, device, 0, 0, 0
        self.lock = threading.Lock()
        self.t = {k: torch.zeros((size,) + s, dtype=d, device=device) for k, (d, s) in self.FIELDS.items()}

    def put(self, rec):
        m = len(rec["image"])
        at = self.seen % self.size
        m = min(m, self.size - at)
        host = {k: torch.from_numpy(np.array(rec[k][:m])) for k in self.FIELDS}
        with self.lock:
            for k, v in host.items():
                self.t[k][at:at + m] = v.to(self.device)
            if self.device.type == "cuda":
                torch.cuda.current_stream().synchronize()
        self.seen += m
        self.n = min(self.seen, self.size)

    def follow(self, folder, stop, remove=True):
        """Read every shard that appears in `folder`, in a thread of its own."""
        def work():
            stream = torch.cuda.Stream() if self.device.type == "cuda" else None
            known = set()
            while not stop.is_set():
                new = [f for f in sorted(os.listdir(folder)) if f.endswith(".safetensors") and f not in known]
                for f in new:
                    known.add(f)
                    p = os.path.join(folder, f)
                    try:
                        if stream:
                            with torch.cuda.stream(stream):
                                self.put(nets.read_safetensors(p))
                        else:
                            self.put(nets.read_safetensors(p))
                        if remove:
                            os.remove(p)
                    except Exception as e:  # a broken shard must not end the run
                        self.bad += 1
                        print("shard", f, repr(e), flush=True)
                    if stop.is_set():
                        break
                if not new:
                    time.sleep(0.2)
        t = threading.Thread(target=work, daemon=True)
        t.start()
        return t


def roi(p):
    """Points [B,>=478,2+] -> centre [B,2], side [B], roll [B] of the crop, by the product's rule."""
    er = 0.5 * (p[:, EYE_R[0], :2] + p[:, EYE_R[1], :2])
    el = 0.5 * (p[:, EYE_L[0], :2] + p[:, EYE_L[1], :2])
    mo = 0.5 * (p[:, MOUTH[0], :2] + p[:, MOUTH[1], :2])
    mid = 0.5 * (er + el)
    e, m = el - er, mo - mid
    side = CM_SIDE * torch.maximum(m.norm(dim=1) / CM_MOUTH, e.norm(dim=1) / CM_EYES)
    return 0.5 * (mid + mo), side, torch.atan2(e[:, 1] - m[:, 0], e[:, 0] + m[:, 1])


def rotations(q):
    """Quaternions wxyz [B,4] -> [B,3,3]."""
    w, x, y, z = F.normalize(q, dim=1).unbind(1)
    return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
                        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
                        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], 1).view(-1, 3, 3)


def to_axis(t):
    """The smallest rotation that takes the direction t [B,3] (camera axes, the head at negative z) to (0, 0, -1)."""
    d = F.normalize(t, dim=1)
    x, y, z = d.unbind(1)
    k = 1 / (1 - z).clamp(min=1e-3)  # Rodrigues' formula for two unit vectors
    return torch.stack([1 - k * x * x, -k * x * y, x, -k * x * y, 1 - k * y * y, y, -x, -y, -z], 1).view(-1, 3, 3)


class Cutter:
    """Crops of cached pictures with labels in the crop's pixels."""

    def __init__(self, device):
        self.device = device
        self.mirror = torch.tensor(mirror_points(), device=device)
        self.mirror_w = torch.tensor(mirror_weights(EXPRESSIONS), device=device)

    def grid(self, A, c, k, size):
        """Picture positions of the crop's pixel centres: [B,size,size,2]."""
        u = (torch.arange(size, device=self.device) + 0.5) * (2.0 / size) - 1
        w = torch.stack(torch.meshgrid(u, u, indexing="ij")[::-1], -1).view(1, -1, 2)
        q = w / (1 + (w * k[:, None]).sum(-1, keepdim=True))
        return (q @ A.transpose(1, 2) + c[:, None]).view(-1, size, size, 2)

    def sample(self, img, pos, mode="bilinear", pad="zeros"):
        s = torch.tensor([2.0 / img.shape[3], 2.0 / img.shape[2]], device=self.device)
        return F.grid_sample(img, pos * s - 1, mode, pad, align_corners=False)

    def cut(self, cache, idx, jitter, gen=None):
        """A batch for the landmarker. jitter: 0 (evaluation: a fixed small one) … 1."""
        dev, B = self.device, len(idx)
        rnd = lambda *s: torch.rand(*s, device=dev, generator=gen)
        uni = lambda lo, hi, *s: lo + (hi - lo) * rnd(*s)
        lm = cache.t["landmarks"][idx]
        c, side, roll = roi(lm)
        present = torch.ones(B, device=dev)
        f = torch.ones(B, device=dev)
        k = torch.zeros(B, 2, device=dev)
        S = torch.eye(2, device=dev).repeat(B, 1, 1)
        true_side = side
        if jitter > 0:
            neg = rnd(B) < 0.16
            wide = torch.where(rnd(B) < 0.1, 3.0, 1.0)
            roll = roll + torch.deg2rad(uni(-15, 15, B)) * wide
            side = side * torch.exp(uni(-0.16, 0.16, B))
            shift = uni(-0.08, 0.08, B, 2) * side[:, None]
            # Crops without the face: far away, or much too large or small a part of it.
            ang = uni(0, 6.2832, B)
            kind = rnd(B)
            off = torch.stack([ang.cos(), ang.sin()], 1) * (uni(0.6, 1.3, B) * side)[:, None]
            shift = torch.where((neg & (kind < 0.6))[:, None], off, shift)
            side = torch.where(neg & (kind >= 0.6) & (kind < 0.85), side * uni(2.4, 5, B), side)
            side = torch.where(neg & (kind >= 0.85), side * uni(0.12, 0.32, B), side)
            # Any small place of the picture that is not in the face: cloth, hands, background, hair.
            any_c = uni(10, 246, B, 2)
            any_s = torch.exp(uni(2.9, 4.8, B))
            out = neg & (kind < 0.45) & ((any_c - c).abs().amax(1) > 0.4 * side + 0.35 * any_s)
            c = torch.where(out[:, None], any_c, c + shift)
            side = torch.where(out, any_s, side)
            roll = torch.where(out, ang, roll)
            present = (~neg).float()
            f = torch.where(rnd(B) < 0.5, -1.0, 1.0)
            some = (rnd(B) < 0.4)[:, None]
            k = torch.where(some, uni(-0.06, 0.06, B, 2), k)
            a, b = (uni(-0.06, 0.06, B) * some[:, 0]), (uni(-0.05, 0.05, B) * some[:, 0])
            S = torch.stack([1 + a, b, b, 1 - a], 1).view(B, 2, 2)
        else:
            c = c + uni(-0.03, 0.03, B, 2) * side[:, None]
            side = side * torch.exp(uni(-0.05, 0.05, B))
        co, si, z = roll.cos(), roll.sin(), torch.zeros_like(roll)
        rot = torch.stack([co, -si, si, co], 1).view(B, 2, 2)
        half = 0.5 * side
        A = half[:, None, None] * (rot @ S) * torch.stack([f, torch.ones_like(f)], 1)[:, None]
        x = cache.t["image"][idx].permute(0, 3, 1, 2).float() / 255
        pos = self.grid(A, c, k, nets.LM_SIZE)
        x = self.sample(x, pos)
        inside = ((pos >= 0) & (pos < 256)).all(-1)
        pp = self.grid(A, c, k, nets.PARTS_SIZE)
        pi = (pp * 0.5).floor().long()
        ok = ((pi >= 0) & (pi < 128)).all(-1)
        pi = pi.clamp(0, 127)
        parts = cache.t["parts"][idx][torch.arange(B, device=dev)[:, None, None], pi[..., 1], pi[..., 0]].long()
        parts = torch.where(ok, parts, 0)
        q = (lm[..., :2] - c[:, None]) @ torch.linalg.inv(A).transpose(1, 2)
        w = q / (1 - (q * k[:, None]).sum(-1, keepdim=True)).clamp(min=0.2)
        pts = torch.cat([w, lm[..., 2:] / half[:, None, None]], -1)  # in half sides
        vis = cache.t["visible"][idx].float()
        wts = cache.t["weights"][idx].clamp(0, 1)
        # The crop cannot know where in the picture it was: rotation is counted from the ray through the head.
        R = to_axis(cache.t["pose"][idx][:, 4:7]) @ rotations(cache.t["pose"][idx][:, :4])
        Rz = torch.stack([co, -si, z, si, co, z, z, z, z + 1], 1).view(B, 3, 3)
        R = Rz @ R
        fl = f < 0
        pts = torch.where(fl[:, None, None], pts[:, self.mirror], pts)
        vis = torch.where(fl[:, None], vis[:, self.mirror], vis)
        wts = torch.where(fl[:, None], wts[:, self.mirror_w], wts)
        M = torch.tensor([-1.0, 1, 1], device=dev)
        R = torch.where(fl[:, None, None], R * M[:, None] * M[None], R)
        return {"x": x, "inside": inside, "parts": parts, "parts_ok": ok, "pts": pts, "vis": vis, "weights": wts, "R": R,
                "present": present, "cm": (2 * CM_SIDE / nets.LM_SIZE * 0.5) * side / true_side,
                "attributes": cache.t["attributes"][idx]}
