"""Random weights of the right form, or golden pairs of trained ones: python3 golden.py OUT [MODELS]."""
import os
import sys

import numpy as np
import torch

import nets


def main(out, models=None):
    os.makedirs(out, exist_ok=True)
    torch.manual_seed(7)
    g = torch.Generator().manual_seed(8)
    net = {}
    for kind, make in nets.NETS.items():
        path = os.path.join(models or out, kind + ".safetensors")
        if not models:
            m = make()
            for x in m.modules():  # norms that do something
                if isinstance(x, torch.nn.BatchNorm2d):
                    x.running_mean.uniform_(-0.2, 0.2, generator=g)
                    x.running_var.uniform_(0.5, 1.5, generator=g)
                    x.bias.data.uniform_(-0.2, 0.2, generator=g)
            nets.save(m, path, {"origin": "random"})
        net[kind] = nets.load(kind, path)
    r = np.random.default_rng(9)
    base = r.integers(0, 256, (12, 12, 3)).astype(np.float32)

    def picture(n):
        t = torch.tensor(base).permute(2, 0, 1)[None]
        p = torch.nn.functional.interpolate(t, (n, n), mode="bilinear")[0].permute(1, 2, 0).numpy()
        return np.clip(p + r.normal(0, 12, p.shape), 0, 255).astype(np.uint8)
    lm, de = picture(nets.LM_SIZE), picture(nets.DET_SIZE)
    with torch.no_grad():
        x = torch.tensor(lm).permute(2, 0, 1)[None].float() / 127.5 - 1
        y, f = net["face_landmarks"](x)
        p = net["face_parts"](f)
        h20, h10 = net["face_detector"](torch.tensor(de).permute(2, 0, 1)[None].float() / 127.5 - 1)
        print("MMAC detector %.1f landmarks %.1f parts %.1f" % (
            nets.macs(net["face_detector"], torch.zeros(1, 3, 160, 160)) / 1e6,
            nets.macs(net["face_landmarks"], x) / 1e6, nets.macs(net["face_parts"], f) / 1e6))
    hwc = lambda t: np.ascontiguousarray(t[0].permute(1, 2, 0).numpy().astype(np.float32))
    nets.write_safetensors(os.path.join(out, "face_golden.safetensors"), {
        "crop": lm, "letterbox": de, "landmarks": y[0].numpy().astype(np.float32), "parts": hwc(p),
        "score20": hwc(h20), "score10": hwc(h10), "f96": hwc(f[0]), "f48": hwc(f[1]), "f24": hwc(f[2]), "f12": hwc(f[3])})
    for k in net:
        print(k, os.path.getsize(os.path.join(models or out, k + ".safetensors")))


if __name__ == "__main__":
    main(*sys.argv[1:])
