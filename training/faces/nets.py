"""The three face networks and their files.

Does: modules, folding of batch norms, f16 safetensors, golden pairs. Does not: train (train.py).
Layer lists, scaling and decoding: docs/notes/face-networks.md.
"""
import json
import struct

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

N_POINTS, N_WEIGHTS, N_PARTS = 512, 53, 12
LM_SIZE, DET_SIZE, PARTS_SIZE = 192, 160, 96
N_OUT = N_POINTS * 4 + N_WEIGHTS + 6 + 1
SIGMA_RANGE = 3.0


class Conv(nn.Module):
    """Convolution, batch norm, and maybe ReLU; the norm is folded into weight and bias when written."""

    def __init__(self, ci, co, k=1, stride=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(ci, co, k, stride, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(co)
        self.act = act

    def forward(self, x, add=None):
        y = self.bn(self.conv(x))
        if add is not None:
            y = y + add
        return F.relu(y, inplace=True) if self.act else y


class Block(nn.Module):
    """relu(x + c(b(a(x)))): 1x1 to half the channels, 3x3, 1x1 back."""

    def __init__(self, c):
        super().__init__()
        self.a = Conv(c, c // 2)
        self.b = Conv(c // 2, c // 2, 3)
        self.c = Conv(c // 2, c)
        nn.init.constant_(self.c.bn.weight, 0.2)

    def forward(self, x):
        return self.c(self.b(self.a(x)), x)


def up2(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Detector(nn.Module):
    """[B,3,160,160] in -1..1 -> ([B,15,20,20], [B,15,10,10]): score, l t r b, 5 key points."""

    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 16, 3, 2)
        self.d1 = Conv(16, 32, 3, 2)
        self.b1 = Block(32)
        self.d2 = Conv(32, 64, 3, 2)
        self.b2, self.b3, self.b4 = Block(64), Block(64), Block(64)
        self.d3 = Conv(64, 96, 3, 2)
        self.b5, self.b6, self.b7 = Block(96), Block(96), Block(96)
        self.p10 = Conv(96, 64)
        self.p20 = Conv(64, 64)
        self.n10 = Conv(64, 64, 3)
        self.n20 = Conv(64, 64, 3)
        self.h10 = nn.Conv2d(64, 15, 1)
        self.h20 = nn.Conv2d(64, 15, 1)
        for h in (self.h10, self.h20):
            nn.init.normal_(h.weight, std=0.01)
            nn.init.zeros_(h.bias)
            h.bias.data[0] = -4.0
            h.bias.data[1:5] = 0.7

    def forward(self, x):
        x = self.b1(self.d1(self.stem(x)))
        f20 = self.b4(self.b3(self.b2(self.d2(x))))
        f10 = self.b7(self.b6(self.b5(self.d3(f20))))
        p10 = self.p10(f10)
        p20 = self.p20(f20, up2(p10))
        return self.h20(self.n20(p20)).float(), self.h10(self.n10(p10)).float()


class Landmarker(nn.Module):
    """[B,3,192,192] in -1..1 -> ([B,2108], features for Parts)."""

    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 24, 3, 2)
        self.d1 = Conv(24, 48, 3, 2)
        self.b1, self.b2 = Block(48), Block(48)
        self.d2 = Conv(48, 96, 3, 2)
        self.b3, self.b4, self.b5 = Block(96), Block(96), Block(96)
        self.d3 = Conv(96, 192, 3, 2)
        self.b6, self.b7, self.b8, self.b9 = Block(192), Block(192), Block(192), Block(192)
        self.d4 = Conv(192, 256, 3, 2)
        self.b10, self.b11 = Block(256), Block(256)
        self.neck = Conv(256, 64)
        self.fc1 = nn.Linear(64 * 36, 512)
        self.fc2 = nn.Linear(512, N_OUT)
        nn.init.normal_(self.fc2.weight, std=0.01)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x):
        f96 = self.stem(x)
        f48 = self.b2(self.b1(self.d1(f96)))
        f24 = self.b5(self.b4(self.b3(self.d2(f48))))
        f12 = self.b9(self.b8(self.b7(self.b6(self.d3(f24)))))
        n = self.neck(self.b11(self.b10(self.d4(f12))))
        n = n.permute(0, 2, 3, 1).reshape(n.shape[0], -1)  # rows, columns, channels, as the C side lies
        h = F.relu(self.fc1(n))
        with torch.autocast(x.device.type, enabled=False):
            out = F.linear(h.float(), self.fc2.weight.float(), self.fc2.bias.float())
        return out, (f96, f48, f24, f12)


class Parts(nn.Module):
    """Features of Landmarker -> [B,12,96,96] logits."""

    def __init__(self):
        super().__init__()
        self.q12 = Conv(192, 64)
        self.q24 = Conv(96, 64)
        self.r24 = Conv(64, 64, 3)
        self.s24 = Conv(64, 32, act=False)
        self.q48 = Conv(48, 32)
        self.r48 = Conv(32, 32, 3)
        self.s48 = Conv(32, 16, act=False)
        self.q96 = Conv(24, 16)
        self.r96 = Conv(16, 16, 3)
        self.out = nn.Conv2d(16, N_PARTS, 1)

    def forward(self, f):
        f96, f48, f24, f12 = f
        y = self.r24(self.q24(f24, up2(self.q12(f12))))
        y = self.r48(self.q48(f48, up2(self.s24(y))))
        y = self.r96(self.q96(f96, up2(self.s48(y))))
        return self.out(y)


NETS = {"face_detector": Detector, "face_landmarks": Landmarker, "face_parts": Parts}


def folded(model):
    """{name: float32 array} with every batch norm folded into the convolution before it."""
    out = {}
    for name, m in model.named_modules():
        if isinstance(m, Conv):
            k = m.bn.weight / torch.sqrt(m.bn.running_var + m.bn.eps)
            out[name + ".weight"] = m.conv.weight * k[:, None, None, None]
            out[name + ".bias"] = m.bn.bias - m.bn.running_mean * k
    for name, p in model.named_parameters():
        owner = name.rsplit(".", 2)
        if not (len(owner) == 3 and owner[1] in ("conv", "bn")):
            out[name] = p
    return {k: v.detach().float().cpu().numpy() for k, v in out.items()}


def unfold(model, tensors):
    """Put folded tensors back: norms become the identity with a bias. For evaluation and golden pairs."""
    with torch.no_grad():
        for name, m in model.named_modules():
            if isinstance(m, Conv):
                m.conv.weight.copy_(torch.tensor(np.array(tensors[name + ".weight"], np.float32)))
                m.bn.running_mean.zero_()
                m.bn.running_var.fill_(1.0 - m.bn.eps)
                m.bn.weight.fill_(1.0)
                m.bn.bias.copy_(torch.tensor(np.array(tensors[name + ".bias"], np.float32)))
        for name, p in model.named_parameters():
            owner = name.rsplit(".", 2)
            if not (len(owner) == 3 and owner[1] in ("conv", "bn")):
                p.copy_(torch.tensor(np.array(tensors[name], np.float32)))
    return model.eval()


_TYPE = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.uint8): "U8", np.dtype(np.int32): "I32",
         np.dtype(np.float64): "F64"}
_BACK = {v: k for k, v in _TYPE.items()}


def write_safetensors(path, tensors, meta=None):
    head, at, blobs = {}, 0, []
    if meta:
        head["__metadata__"] = {k: str(v) for k, v in meta.items()}
    for k in sorted(tensors, key=lambda k: (-tensors[k].dtype.itemsize, k)):
        b = np.ascontiguousarray(tensors[k]).tobytes()
        head[k] = {"dtype": _TYPE[tensors[k].dtype], "shape": list(tensors[k].shape), "data_offsets": [at, at + len(b)]}
        at += len(b)
        blobs.append(b)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for b in blobs:
            f.write(b)
    import os
    os.replace(path + ".part", path)


def read_safetensors(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(n))
    data = np.memmap(path, np.uint8, "r", 8 + n)
    out = {}
    for k, v in head.items():
        if k != "__metadata__":
            a, b = v["data_offsets"]
            out[k] = data[a:b].view(_BACK[v["dtype"]]).reshape(v["shape"])
    return out


def save(model, path, meta=None):
    """Write the folded network as f16."""
    write_safetensors(path, {k: v.astype(np.float16) for k, v in folded(model).items()}, meta)


def load(kind, path):
    return unfold(NETS[kind](), read_safetensors(path))


def macs(model, *x):
    total = [0]

    def hook(m, i, o):
        if isinstance(m, nn.Conv2d):
            total[0] += o[0].numel() * m.weight[0].numel()
        elif isinstance(m, nn.Linear):
            total[0] += m.weight.numel()
    hs = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        model(*x)
    for h in hs:
        h.remove()
    return total[0]
