#!/usr/bin/env python3
"""The shapes of tensor_bench in PyTorch, F16, channels-last, eager and (blocks) as a CUDA graph: medians of 31, device events."""
import statistics
import torch
import torch.nn.functional as F

from layers_torch import Resnet, Transformer

torch.backends.cudnn.benchmark = True
torch.manual_seed(1)
dev, half = "cuda", torch.float16


def pic(b, h, w, c):
    return torch.randn(b, c, h, w, device=dev, dtype=half).contiguous(memory_format=torch.channels_last)


def seq(*s):
    return torch.randn(*s, device=dev, dtype=half)


def timed(call):
    for _ in range(5):
        call()
    ms = []
    for _ in range(31):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        call()
        b.record()
        b.synchronize()
        ms.append(a.elapsed_time(b))
    return statistics.median(ms)


def show(name, fn, graph=True):
    """Eager, and (so that launch gaps do not count against it) the same captured as a CUDA graph."""
    eager = timed(fn)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        fn()
    torch.cuda.synchronize()
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g):
        fn()
    print(f"{name:44s} eager {eager:8.4f} ms  graph {timed(g.replay):8.4f} ms", flush=True)


with torch.inference_mode():
    print("torch", torch.__version__, torch.cuda.get_device_name(), "cudnn", torch.backends.cudnn.version())
    x, y = pic(20, 128, 128, 256), pic(20, 128, 128, 256)
    show("silu 20x128x128x256", lambda: F.silu(x))
    show("add 20x128x128x256", lambda: x + y)
    gn = torch.nn.GroupNorm(32, 256, 1e-6).to(dev, half)
    show("group_norm+silu 20x128x128x256", lambda: F.silu(gn(x)))
    gn2, x2 = torch.nn.GroupNorm(32, 320, 1e-6).to(dev, half), pic(1, 32, 32, 320)
    show("group_norm+silu 1x32x32x320", lambda: F.silu(gn2(x2)))
    ln, s = torch.nn.LayerNorm(320).to(dev, half), seq(20, 1024, 320)
    show("layer_norm 20x1024x320", lambda: ln(s))
    sm = seq(20, 1024, 1024)
    show("softmax 20x1024x1024", lambda: F.softmax(sm, -1))
    gg = seq(20, 1024, 2560)
    show("geglu 20x1024x2560", lambda: gg[..., :1280] * F.gelu(gg[..., 1280:]))
    show("resize_nearest 20x128x128x256 x2", lambda: F.interpolate(x, scale_factor=2.0))
    d1, a1 = torch.nn.Linear(320, 2560).to(dev, half), seq(20480, 320)
    show("dense 20480x320 -> 2560", lambda: d1(a1))
    d2, a2 = torch.nn.Linear(4096, 4096).to(dev, half), seq(4096, 4096)
    show("dense 4096x4096 -> 4096", lambda: d2(a2))
    for b, hw, c in ((20, 256, 128), (20, 64, 512), (1, 32, 320)):
        cv, p = torch.nn.Conv2d(c, c, 3, 1, 1).to(dev, half).to(memory_format=torch.channels_last), pic(b, hw, hw, c)
        show(f"conv3x3 {b}x{hw}x{hw}x{c}", lambda: cv(p))
    for b, n, m, d in ((1, 1024, 1024, 40), (1, 1024, 1024, 80), (1, 1024, 1024, 160), (20, 1024, 1024, 40),
                       (20, 1024, 1024, 80), (20, 1024, 1024, 160), (20, 1024, 50, 40), (32, 4096, 4096, 40),
                       (32, 1024, 1024, 80), (32, 256, 256, 160), (32, 4096, 50, 40), (8192, 16, 16, 40), (2048, 16, 16, 80)):
        q = [seq(b, t, 8, d).transpose(1, 2) for t in (n, m, m)]
        show(f"attention {b}x{n}x{m}x8x{d}", lambda: F.scaled_dot_product_attention(*q))
    q = [seq(20, 1, 1024, 512) for _ in range(3)]
    show("attention 20x1024x1x512 (VAE)", lambda: F.scaled_dot_product_attention(*q))
    for b in (1, 20):
        m, p = Resnet(512).to(dev, half).to(memory_format=torch.channels_last), pic(b, 64, 64, 512)
        show(f"VAE resnet block {b}x64x64x512", lambda: m(p))
        t, s, k = Transformer(320, 8).to(dev, half), seq(b, 1024, 320), seq(b, 50, 384)
        show(f"UNet transformer block {b}x1024x320, 8 heads", lambda: t(s, k))
