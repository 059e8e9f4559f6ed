#!/usr/bin/env python3
"""The shapes of tensor_cpu in PyTorch on the CPU: median and best wall time and the processor time of all threads.

Usage: tensor_cpu_torch.py [--threads N] [--bf16] [--nhwc] [--only TEXT] [--runs N]. Run it and tensor_cpu by turns: one
measurement each is worth nothing on a machine that does other work too.
"""
import argparse
import resource
import time

import torch
import torch.nn.functional as F

from layers_torch import Resnet, Transformer

args = argparse.ArgumentParser()
args.add_argument("--threads", type=int, default=0)
args.add_argument("--bf16", action="store_true")
args.add_argument("--nhwc", action="store_true", help="channels-last pictures; PyTorch's own default is NCHW")
args.add_argument("--only", default="")
args.add_argument("--runs", type=int, default=7)
args = args.parse_args()
if args.threads:
    torch.set_num_threads(args.threads)
torch.manual_seed(1)
KIND = torch.bfloat16 if args.bf16 else torch.float32
LAYOUT = torch.channels_last if args.nhwc else torch.contiguous_format


def pic(h, w, c):
    return torch.randn(1, c, h, w).to(KIND).contiguous(memory_format=LAYOUT)


def seq(*s):
    return torch.randn(*s).to(KIND)


def made(module):
    return module.to(KIND).to(memory_format=LAYOUT)


def own():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def show(name, make):
    """`make` returns the call: nothing is made for what is not wanted."""
    if args.only not in name:
        return
    call = make()
    for _ in range(2):
        call()
    wall, before = [], own()
    for _ in range(args.runs):
        t = time.perf_counter()
        call()
        wall.append((time.perf_counter() - t) * 1e3)
    wall.sort()
    print(f"{name:40s} {wall[len(wall) // 2]:9.3f} ms  best {wall[0]:9.3f}  "
          f"cpu {(own() - before) * 1e3 / args.runs:9.3f}", flush=True)


def conv(hw, ci, co, k, stride):
    m, x = made(torch.nn.Conv2d(ci, co, k, stride, k // 2)), pic(hw, hw, ci)
    return lambda: m(x)


def dense(m, k, n):
    layer, x = torch.nn.Linear(k, n).to(KIND), seq(m, k)
    return lambda: layer(x)


def attention(q, k, h, d):
    a, b, c = seq(1, h, q, d), seq(1, h, k, d), seq(1, h, k, d)
    return lambda: F.scaled_dot_product_attention(a, b, c)


def one(fn, *inputs):
    return lambda: fn(*inputs)


def resnet(hw, c):
    m, x = made(Resnet(c)), pic(hw, hw, c)
    return lambda: m(x)


def transformer(n, c):
    m, x, t = Transformer(c, 8).to(KIND), seq(1, n, c), seq(1, 50, 384)
    return lambda: m(x, t)


def group_norm(hw, c):
    m, x = torch.nn.GroupNorm(32, c, 1e-6).to(KIND), pic(hw, hw, c)
    return lambda: F.silu(m(x))


with torch.inference_mode():
    print("torch", torch.__version__, torch.get_num_threads(), "threads", KIND, "NHWC" if args.nhwc else "NCHW")
    for hw, ci, co, k, s in ((32, 512, 512, 3, 1), (64, 512, 512, 3, 1), (128, 512, 512, 3, 1), (128, 512, 256, 3, 1),
                             (128, 256, 256, 3, 1), (256, 256, 256, 3, 1), (256, 256, 128, 3, 1), (256, 128, 128, 3, 1),
                             (256, 128, 3, 3, 1), (128, 512, 256, 1, 1), (32, 320, 320, 3, 1), (32, 640, 320, 3, 1),
                             (16, 640, 640, 3, 1), (16, 1280, 640, 3, 1), (8, 1280, 1280, 3, 1), (8, 2560, 1280, 3, 1),
                             (4, 1280, 1280, 3, 1), (32, 320, 320, 3, 2), (32, 320, 320, 1, 1), (32, 8, 320, 3, 1)):
        show(f"conv{k}x{k} {hw}x{hw} {ci}->{co} /{s}", lambda: conv(hw, ci, co, k, s))
    for m, k, n in ((1024, 320, 2560), (1024, 1280, 320), (1024, 320, 320), (256, 640, 5120), (64, 1280, 10240),
                    (64, 5120, 1280), (16, 1280, 1280), (50, 384, 1280), (1, 1280, 1280)):
        show(f"dense {m}x{k}->{n}", lambda: dense(m, k, n))
    for q, k, h, d in ((1024, 1024, 8, 40), (1024, 50, 8, 40), (256, 256, 8, 80), (64, 64, 8, 160), (1024, 1024, 1, 512),
                       (1500, 1500, 6, 64)):
        show(f"attention {q}x{k} {h}x{d}", lambda: attention(q, k, h, d))
    show("matmul 8x512x512x512", lambda: one(torch.matmul, seq(8, 512, 512), seq(8, 512, 512)))
    show("conv_transpose 64x64 256->128 /2",
         lambda: one(made(torch.nn.ConvTranspose2d(256, 128, 3, 2, 1, 1, bias=False)), pic(64, 64, 256)))
    for hw, c in ((256, 128), (128, 256), (64, 512), (32, 320), (8, 1280)):
        show(f"group_norm+silu {hw}x{hw}x{c}", lambda: group_norm(hw, c))
    show("layer_norm 1024x320", lambda: one(torch.nn.LayerNorm(320).to(KIND), seq(1024, 320)))
    show("softmax 1024x1024", lambda: one(lambda x: F.softmax(x, -1), seq(1024, 1024)))
    show("geglu 1024x2560", lambda: one(lambda x: x[:, :1280] * F.gelu(x[:, 1280:]), seq(1024, 2560)))
    for name, fn in (("gelu", F.gelu), ("silu", F.silu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid)):
        show(f"{name} 256x256x128", lambda: one(fn, pic(256, 256, 128)))
    show("add 256x256x128", lambda: one(torch.add, pic(256, 256, 128), pic(256, 256, 128)))
    show("concat 128x128x(256+256)", lambda: one(lambda a, b: torch.cat([a, b], 1), pic(128, 128, 256), pic(128, 128, 256)))
    show("nearest 128x128x256 x2", lambda: one(lambda x: F.interpolate(x, scale_factor=2.0), pic(128, 128, 256)))
    show("transpose 4096x8x64", lambda: one(lambda x: x.transpose(1, 2).contiguous(), seq(1, 4096, 8, 64)))
    for hw, c in ((64, 512), (128, 256), (256, 128), (32, 320), (16, 640), (8, 1280)):
        show(f"resnet block {hw}x{hw}x{c}", lambda: resnet(hw, c))
    for n, c in ((1024, 320), (256, 640), (64, 1280)):
        show(f"transformer block {n}x{c}", lambda: transformer(n, c))
