#!/usr/bin/env python3
"""The networks of nn_bench in PyTorch: the same names, weights (hash rule of the fact sheets) and inputs. Prints medians, and with
--compare DIR how far the outputs that `nn_bench --dump DIR` left are from these.

  nn_torch.py --net NAME[:BATCHES[:SIZE]] [--batch 1,8,20] [--device cpu|cuda] [--dtype f32|f16|bf16] [--threads N] [--runs N] [--size S]
              [--layout nchw|nhwc] [--compare DIR,...] [--file SAFETENSORS] [--peer own|diffusers] [--benchmark 1]

--benchmark 1 lets cuDNN try its algorithms (torch.backends.cudnn.benchmark; on the device), which the original programs do not. --peer diffusers takes the published classes (AutoencoderKL, UNet2DConditionModel) of the package of that name in place of our modules.
With --compare the outputs are made in F32 (no TF32) whatever --dtype says: that is the truth to compare with."""
import argparse, json, math, mmap, os, resource, statistics, time
import torch
import torch.nn.functional as F
from torch import nn

M32 = 0xFFFFFFFF


def uniform(t, first, n, device):
    """u(first … first+n) of tensor number t, float64."""
    h = torch.arange(first, first + n, dtype=torch.int64, device=device)
    h = (h * 2654435761 + ((t * 2246822519 + 374761393) & M32)) & M32
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & M32
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & M32
    h ^= h >> 16
    return h.double() / 2.0**32


def skip_init():
    """Every parameter is given by the rule: no time for random numbers."""
    for name in ("kaiming_uniform_", "uniform_", "ones_", "zeros_", "xavier_uniform_"):
        setattr(nn.init, name, lambda t, *a, **k: t)


def weights_of(model):
    """The parameters a network of nn_bench has, by name."""
    return model.weights() if hasattr(model, "weights") else model.state_dict()


def by_rule(model):
    state = weights_of(model)
    names = sorted(k for k in state if not k.endswith(("num_batches_tracked", "pos_encoder.pe", "encoder.positional_embedding")))
    for t, k in enumerate(names):
        w = state[k]
        flat, n, step = w.view(-1), w.numel(), 1 << 24
        for a in range(0, n, step):
            u = uniform(t, a, min(step, n - a), w.device)
            v = 2 * u - 1
            if k.endswith("running_var"):
                v = 1 + 0.5 * u
            elif k.endswith("running_mean"):
                v = 0.1 * v
            elif w.dim() >= 2:
                v = v * math.sqrt(3 / (n // w.shape[0]))
            else:
                v = 0.1 * v if k.endswith(("bias", "beta")) else 1 + 0.1 * v
            flat[a:a + step] = v.float()


def from_file(model, path):
    """Parameters from what `nn_bench --save` wrote, mapped."""
    with open(path, "rb") as f:
        data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    n = int.from_bytes(data[:8], "little")
    head, kinds = json.loads(data[8:8 + n]), {"F32": torch.float32, "F16": torch.float16}
    state = weights_of(model)
    for k, e in head.items():
        a, b = e["data_offsets"]
        kind = kinds[e["dtype"]]
        state[k].copy_(torch.frombuffer(data, dtype=kind, count=(b - a) // kind.itemsize, offset=8 + n + a).view(e["shape"]))


class Mod(nn.Module):
    """A module whose children are given by their official names."""

    def __init__(self, **kids):
        super().__init__()
        for k, v in kids.items():
            setattr(self, k, v)


def conv3(i, o, s=1, p=1):
    return nn.Conv2d(i, o, 3, s, p)


def over_frames(norm, x, frames):
    """Group norm whose statistics run over the frames; x [b·f, c, h, w]."""
    if frames <= 1:
        return norm(x)
    y = x.unflatten(0, (-1, frames)).transpose(1, 2)
    return norm(y).transpose(1, 2).flatten(0, 1)


class Resnet(nn.Module):
    def __init__(self, i, o, groups, eps, time=0):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, i, eps), conv3(i, o)
        self.norm2, self.conv2 = nn.GroupNorm(groups, o, eps), conv3(o, o)
        if time:
            self.time_emb_proj = nn.Linear(time, o)
        if i != o:
            self.conv_shortcut = nn.Conv2d(i, o, 1)

    def forward(self, x, time=None, frames=1):
        h = self.conv1(F.silu(over_frames(self.norm1, x, frames)))
        if time is not None:
            h = h + self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(over_frames(self.norm2, h, frames)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + h


class Attention(nn.Module):
    def __init__(self, c, ctx, heads):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = nn.Linear(c, c, False), nn.Linear(ctx, c, False), nn.Linear(ctx, c, False)
        self.to_out = nn.ModuleList([nn.Linear(c, c)])

    def forward(self, x, ctx):
        q, k, v = (m(s).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for m, s in ((self.to_q, x), (self.to_k, ctx), (self.to_v, ctx)))
        return self.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.net = nn.ModuleList([Mod(proj=nn.Linear(c, 8 * c)), nn.Identity(), nn.Linear(4 * c, c)])

    def forward(self, x):
        a, g = self.net[0].proj(x).chunk(2, -1)
        return self.net[2](a * F.gelu(g))


class Block(nn.Module):
    def __init__(self, c, ctx, heads):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(c), nn.LayerNorm(c), nn.LayerNorm(c)
        self.attn1, self.attn2, self.ff = Attention(c, c, heads), Attention(c, ctx, heads), FeedForward(c)

    def forward(self, x, ctx):
        n = self.norm1(x)
        x = x + self.attn1(n, n)
        x = x + self.attn2(self.norm2(x), ctx)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, c, ctx, heads, groups):
        super().__init__()
        self.norm, self.proj_in, self.proj_out = nn.GroupNorm(groups, c, 1e-6), nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.transformer_blocks = nn.ModuleList([Block(c, ctx, heads)])

    def forward(self, x, ctx):
        h = self.proj_in(self.norm(x))
        h = self.transformer_blocks[0](h.flatten(2).transpose(1, 2), ctx)
        return x + self.proj_out(h.transpose(1, 2).unflatten(2, x.shape[2:]))


class TemporalAttention(Attention):
    def __init__(self, c, heads):
        super().__init__(c, c, heads)
        w = torch.exp(torch.arange(0, c, 2) * (-math.log(10000.0) / c))
        a = torch.arange(24)[:, None] * w
        self.pos_encoder = Mod()
        self.pos_encoder.register_buffer("pe", torch.stack([a.sin(), a.cos()], -1).flatten(1)[None])

    def forward(self, x):
        x = x + self.pos_encoder.pe[:, :x.shape[1]]
        return super().forward(x, x)


class TemporalBlock(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(c, heads) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(c) for _ in range(2)])
        self.ff, self.ff_norm = FeedForward(c), nn.LayerNorm(c)

    def forward(self, x):
        for a, n in zip(self.attention_blocks, self.norms):
            x = x + a(n(x))
        return x + self.ff(self.ff_norm(x))


class Motion(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.temporal_transformer = Mod(norm=nn.GroupNorm(32, c, 1e-6), proj_in=nn.Linear(c, c),
                                        transformer_blocks=nn.ModuleList([TemporalBlock(c, heads)]), proj_out=nn.Linear(c, c))

    def forward(self, x, frames):
        t, (n, c, h, w) = self.temporal_transformer, x.shape
        y = t.norm(x).view(n // frames, frames, c, h * w).permute(0, 3, 1, 2).reshape(-1, frames, c)
        y = t.proj_out(t.transformer_blocks[0](t.proj_in(y)))
        return x + y.view(n // frames, h * w, frames, c).permute(0, 2, 3, 1).reshape(n, c, h, w)


class UNet(nn.Module):
    def __init__(self, i, ch=(320, 640, 1280, 1280), heads=8, ctx=384, groups=32, motion=False, frames=1):
        super().__init__()
        self.frames = frames
        t = 4 * ch[0]
        self.time_embedding = Mod(linear_1=nn.Linear(ch[0], t), linear_2=nn.Linear(t, t))
        self.conv_in = conv3(i, ch[0])

        def block(ins, o, attention, **more):
            kids = dict(resnets=nn.ModuleList([Resnet(k, o, groups, 1e-5, t) for k in ins]))
            if attention:
                kids["attentions"] = nn.ModuleList([Transformer(o, ctx, heads, groups) for _ in ins])
            if motion:
                kids["motion_modules"] = nn.ModuleList([Motion(o, heads) for _ in ins])
            return Mod(**kids, **more)

        self.down_blocks, skips, c = nn.ModuleList(), [ch[0]], ch[0]
        for k, o in enumerate(ch):
            more = {} if k == 3 else dict(downsamplers=nn.ModuleList([Mod(conv=conv3(o, o, 2))]))
            self.down_blocks.append(block([c, o], o, k < 3, **more))
            skips += [o, o] + ([] if k == 3 else [o])
            c = o
        self.mid_block = Mod(resnets=nn.ModuleList([Resnet(c, c, groups, 1e-5, t) for _ in range(2)]),
                             attentions=nn.ModuleList([Transformer(c, ctx, heads, groups)]))
        self.up_blocks = nn.ModuleList()
        for k, o in enumerate(reversed(ch)):
            ins = []
            for _ in range(3):
                ins.append(c + skips.pop())
                c = o
            more = {} if k == 3 else dict(upsamplers=nn.ModuleList([Mod(conv=conv3(o, o))]))
            self.up_blocks.append(block(ins, o, k > 0, **more))
        self.conv_norm_out, self.conv_out = nn.GroupNorm(groups, c, 1e-5), conv3(c, 4)

    def layer(self, b, k, x, t, ctx):
        x = b.resnets[k](x, t, self.frames)
        if hasattr(b, "attentions"):
            x = b.attentions[k](x, ctx)
        if hasattr(b, "motion_modules"):
            x = b.motion_modules[k](x, self.frames)
        return x

    def forward(self, x, ctx, time):
        t = self.time_embedding.linear_2(F.silu(self.time_embedding.linear_1(time)))
        x = self.conv_in(x)
        skips = [x]
        for b in self.down_blocks:
            for k in range(2):
                x = self.layer(b, k, x, t, ctx)
                skips.append(x)
            if hasattr(b, "downsamplers"):
                x = b.downsamplers[0].conv(x)
                skips.append(x)
        m = self.mid_block
        x = m.resnets[1](m.attentions[0](m.resnets[0](x, t, self.frames), ctx), t, self.frames)
        for b in self.up_blocks:
            for k in range(3):
                x = self.layer(b, k, torch.cat([x, skips.pop()], 1), t, ctx)
            if hasattr(b, "upsamplers"):
                x = b.upsamplers[0].conv(F.interpolate(x, scale_factor=2.0))
        return self.conv_out(F.silu(over_frames(self.conv_norm_out, x, self.frames)))


class VaeAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.group_norm = nn.GroupNorm(32, c, 1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(c, c) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(c, c)])

    def forward(self, x):
        h = self.group_norm(x).flatten(2).transpose(1, 2)
        h = F.scaled_dot_product_attention(self.to_q(h)[:, None], self.to_k(h)[:, None], self.to_v(h)[:, None])[:, 0]
        return x + self.to_out[0](h).transpose(1, 2).unflatten(2, x.shape[2:])


def vae_middle(c):
    return Mod(resnets=nn.ModuleList([Resnet(c, c, 32, 1e-6) for _ in range(2)]), attentions=nn.ModuleList([VaeAttention(c)]))


def run_middle(m, x):
    return m.resnets[1](m.attentions[0](m.resnets[0](x)))


class Decoder(nn.Module):
    def __init__(self, ch=(512, 512, 256, 128)):
        super().__init__()
        self.post_quant_conv = nn.Conv2d(4, 4, 1)
        ups, c = nn.ModuleList(), ch[0]
        for k, o in enumerate(ch):
            more = {} if k == 3 else dict(upsamplers=nn.ModuleList([Mod(conv=conv3(o, o))]))
            ups.append(Mod(resnets=nn.ModuleList([Resnet(c if j == 0 else o, o, 32, 1e-6) for j in range(3)]), **more))
            c = o
        self.decoder = Mod(conv_in=conv3(4, ch[0]), mid_block=vae_middle(ch[0]), up_blocks=ups,
                           conv_norm_out=nn.GroupNorm(32, c, 1e-6), conv_out=conv3(c, 3))

    def forward(self, z):
        d = self.decoder
        x = run_middle(d.mid_block, d.conv_in(self.post_quant_conv(z)))
        for b in d.up_blocks:
            for r in b.resnets:
                x = r(x)
            if hasattr(b, "upsamplers"):
                x = b.upsamplers[0].conv(F.interpolate(x, scale_factor=2.0))
        return d.conv_out(F.silu(d.conv_norm_out(x)))


class Encoder(nn.Module):
    def __init__(self, ch=(128, 256, 512, 512)):
        super().__init__()
        downs, c = nn.ModuleList(), ch[0]
        for k, o in enumerate(ch):
            more = {} if k == 3 else dict(downsamplers=nn.ModuleList([Mod(conv=conv3(o, o, 2, 0))]))
            downs.append(Mod(resnets=nn.ModuleList([Resnet(c if j == 0 else o, o, 32, 1e-6) for j in range(2)]), **more))
            c = o
        self.encoder = Mod(conv_in=conv3(3, ch[0]), down_blocks=downs, mid_block=vae_middle(c),
                           conv_norm_out=nn.GroupNorm(32, c, 1e-6), conv_out=conv3(c, 8))
        self.quant_conv = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        e = self.encoder
        x = e.conv_in(x)
        for b in e.down_blocks:
            for r in b.resnets:
                x = r(x)
            if hasattr(b, "downsamplers"):
                x = b.downsamplers[0].conv(F.pad(x, (0, 1, 0, 1)))
        x = e.conv_out(F.silu(e.conv_norm_out(run_middle(e.mid_block, x))))
        return self.quant_conv(x).chunk(2, 1)


class Unit(nn.Module):
    """Convolution, batch norm, + input, ReLU."""

    def __init__(self, i, o, k, s=1, p=0, grow=None):
        super().__init__()
        conv = nn.Conv2d(i, o, k, s, p) if grow is None else nn.ConvTranspose2d(i, o, k, s, p, grow)
        self.conv_block, self.same = nn.Sequential(conv, nn.BatchNorm2d(o)), i == o and s == 1 and p == 1 and grow is None

    def forward(self, x):
        y = self.conv_block(x)
        return F.relu(y + x if self.same else y)


class Wav2Lip(nn.Module):
    def __init__(self):
        super().__init__()
        sound = [(32, 3, 1, 1), (32, 3, 1, 1), (32, 3, 1, 1), (64, 3, (3, 1), 1), (64, 3, 1, 1), (64, 3, 1, 1), (128, 3, 3, 1),
                 (128, 3, 1, 1), (128, 3, 1, 1), (256, 3, (3, 2), 1), (256, 3, 1, 1), (512, 3, 1, 0), (512, 1, 1, 0)]
        units, i = [], 1
        for o, k, s, p in sound:
            units.append(Unit(i, o, k, s, p))
            i = o
        self.audio_encoder, self.face_encoder_blocks = nn.Sequential(*units), nn.ModuleList()
        i, skips = 6, []
        for b, (n, o) in enumerate(((1, 16), (3, 32), (4, 64), (3, 128), (3, 256), (2, 512))):
            first = Unit(i, o, 3, 2, 1) if b else Unit(i, o, 7, 1, 3)
            self.face_encoder_blocks.append(nn.Sequential(first, *(Unit(o, o, 3, 1, 1) for _ in range(n - 1))))
            skips.append(o)
            i = o
        self.face_encoder_blocks.append(nn.Sequential(Unit(512, 512, 3), Unit(512, 512, 1)))
        self.face_decoder_blocks, i = nn.ModuleList([nn.Sequential(Unit(512, 512, 1))]), 1024
        for b, (n, o) in enumerate(((2, 512), (3, 512), (3, 384), (3, 256), (3, 128), (3, 64))):
            first = Unit(i, o, 3, 2, 1, 1) if b else Unit(i, o, 3, 1, 0, 0)
            self.face_decoder_blocks.append(nn.Sequential(first, *(Unit(o, o, 3, 1, 1) for _ in range(n - 1))))
            i = o + skips[5 - b]
        self.output_block = nn.Sequential(Unit(80, 32, 3, 1, 1), nn.Conv2d(32, 3, 1))

    def forward(self, mel, face):
        x, skips = self.audio_encoder(mel), []
        for b in self.face_encoder_blocks:
            face = b(face)
            skips.append(face)
        for b in self.face_decoder_blocks:
            x = torch.cat([b(x), skips.pop()], 1)
        return self.output_block(x).sigmoid()


class WhisperAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.query, self.key, self.value, self.out = nn.Linear(c, c), nn.Linear(c, c, False), nn.Linear(c, c), nn.Linear(c, c)

    def forward(self, x):
        q, k, v = (m(x).unflatten(-1, (-1, 64)).transpose(1, 2) for m in (self.query, self.key, self.value))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class WhisperBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn, self.attn_ln, self.mlp_ln = WhisperAttention(c), nn.LayerNorm(c), nn.LayerNorm(c)
        self.mlp = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))

    def forward(self, x):
        x = x + self.attn(self.attn_ln(x))
        return x + self.mlp(self.mlp_ln(x))


class Whisper(nn.Module):
    def __init__(self, c=384, layers=4, rows=1500):
        super().__init__()
        self.encoder = Mod(conv1=nn.Conv1d(80, c, 3, 1, 1), conv2=nn.Conv1d(c, c, 3, 2, 1), ln_post=nn.LayerNorm(c),
                           blocks=nn.ModuleList([WhisperBlock(c) for _ in range(layers)]))
        a = torch.arange(rows)[:, None] * torch.exp(torch.arange(c // 2) * (-math.log(10000.0) / (c // 2 - 1)))
        self.encoder.register_buffer("positional_embedding", torch.cat([a.sin(), a.cos()], 1))

    def forward(self, mel):
        e = self.encoder
        x = F.gelu(e.conv2(F.gelu(e.conv1(mel[:, :, 0])))).transpose(1, 2) + e.positional_embedding
        for b in e.blocks:
            x = b(x)
        return e.ln_post(x)


class Published(nn.Module):
    """A class of diffusers behind the inputs and outputs of ours; `parts`: names that nn_bench's network has."""

    def __init__(self, model, call, parts=("",)):
        super().__init__()
        self.model, self.call, self.parts = model, call, parts

    def weights(self):
        return {k: v for k, v in self.model.state_dict().items() if k.startswith(self.parts)}

    def forward(self, *given):
        return self.call(self.model, *given)


def published(name):
    import sys
    for other in ("transformers", "peft", "accelerate", "xformers", "bitsandbytes"):
        sys.modules.setdefault(other, None)  # nothing of theirs is needed, and versions that do not fit would stop us
    from diffusers.models import AutoencoderKL, UNet2DConditionModel
    if name == "musetalk_unet":
        unet = UNet2DConditionModel(in_channels=8, out_channels=4, cross_attention_dim=384, attention_head_dim=8)
        return Published(unet, lambda m, x, ctx, time: m(x, torch.zeros((), device=x.device), ctx, return_dict=False)[0])
    vae = AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                        block_out_channels=(128, 256, 512, 512), layers_per_block=2)
    if name == "vae_decoder":
        return Published(vae, lambda m, z: m.decode(z, return_dict=False)[0], ("decoder.", "post_quant_conv."))
    if name == "vae_encoder":
        return Published(vae, lambda m, x: m.quant_conv(m.encoder(x)).chunk(2, 1), ("encoder.", "quant_conv."))
    raise SystemExit(f"diffusers has no {name}")


def sinusoid(t):
    a = t * torch.exp(torch.arange(160) * (-math.log(10000.0) / 160))
    return torch.cat([a.cos(), a.sin()])[None]


def picture(b, h, w, c):
    return ("picture", (b, h, w, c))


# name: usual size, model, inputs for (batch, size): pictures are filled in NHWC order, others as they are
NETS = {
    "musetalk_unet": (32, lambda: UNet(8), lambda b, s: [picture(b, s, s, 8), ("", (b, 50, 384)), ("time", (1, 320))]),
    "vae_decoder": (32, Decoder, lambda b, s: [picture(b, s, s, 4)]),
    "vae_encoder": (256, Encoder, lambda b, s: [picture(b, s, s, 3)]),
    "wav2lip": (96, Wav2Lip, lambda b, s: [picture(b, 80, 16, 1), picture(b, s, s, 6)]),
    "whisper_tiny_encoder": (1500, Whisper, lambda b, s: [picture(b, 1, 2 * s, 80)]),
    "latentsync_unet": (64, lambda: UNet(13, motion=True, frames=16),
                        lambda b, s: [picture(32 * b, s, s, 13), ("", (32 * b, 50, 384)), ("", (1, 320))]),
}


def make_input(kind, shape, number, device):
    if kind == "time":
        return sinusoid(0.0).to(device)
    x = (2 * uniform(number, 0, math.prod(shape), device) - 1).float().view(shape)
    return x.permute(0, 3, 1, 2).contiguous() if kind == "picture" else x


def timed(call, cuda, runs):
    ms, own, begin = [], [], time.perf_counter()
    for _ in range(3 if cuda else 1):
        call()
    while len(ms) < runs and (len(ms) < 2 or time.perf_counter() - begin < 20):
        if cuda:
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record()
            call()
            b.record()
            b.synchronize()
            ms.append(a.elapsed_time(b))
        else:
            a, r = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
            call()
            ms.append((time.perf_counter() - a) * 1e3)
            q = resource.getrusage(resource.RUSAGE_SELF)
            own.append((q.ru_utime + q.ru_stime - r.ru_utime - r.ru_stime) * 1e3)
    return statistics.median(ms), statistics.median(own) if own else 0


def compare(args, name, batch, outs):
    for i, (folder, o) in enumerate((f, o) for f in args.compare.split(",") for o in outs):
        path = os.path.join(folder, f"{name}-b{batch}-o{i % len(outs)}.f32")
        if not os.path.exists(path):
            print(f"    {path}: not there")
            continue
        a = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32)
        b = (o.permute(0, 2, 3, 1) if o.dim() == 4 else o).contiguous().float().cpu().view(-1)
        worst = ((a - b).abs().max() / b.abs().max()).item()
        mse = ((a.clamp(-1, 1) - b.clamp(-1, 1)).double() ** 2).mean().item() / 4
        print(f"    {path}: largest error {worst:.3e} of the largest value, PSNR of it as a picture "
              f"{-10 * math.log10(max(mse, 1e-30)):.1f} dB", flush=True)


def measure(args, name, batch):
    size, make, inputs = NETS[name]
    cuda, kind = args.device == "cuda", {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[args.dtype]
    with torch.device(args.device):
        model = published(name) if args.peer == "diffusers" else make()
    from_file(model, args.file) if args.file else by_rule(model)
    model = model.eval()
    given = [make_input(k, s, 9000 + i, args.device) for i, (k, s) in enumerate(inputs(batch, args.size or size))]
    with torch.inference_mode():
        if args.compare:
            out = model(*given)
            compare(args, name, batch, out if isinstance(out, tuple) else (out,))
        if args.runs > 0:
            how = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
            model = model.to(kind).to(memory_format=how)
            given = [x.to(kind).contiguous(memory_format=how) if x.dim() == 4 else x.to(kind) for x in given]
            ms, own = timed(lambda: model(*given), cuda, args.runs)
            print(f"{name} batch {batch}: PyTorch ({args.peer} modules) {args.dtype} {args.layout} benchmark {args.benchmark} {ms:.3f} ms" + ("" if cuda else f", processor {own:.0f} ms"),
                  flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--net", action="append")
    p.add_argument("--batch", default="1")
    p.add_argument("--device", default="cpu")
    p.add_argument("--dtype", default="f32")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--runs", type=int, default=11)
    p.add_argument("--size", type=int, default=0)
    p.add_argument("--layout", default="nchw")
    p.add_argument("--benchmark", type=int, default=1)
    p.add_argument("--peer", default="own", choices=("own", "diffusers"))
    p.add_argument("--compare")
    p.add_argument("--file")
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    skip_init()
    torch.backends.cudnn.benchmark = bool(args.benchmark)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    print("torch", torch.__version__, torch.cuda.get_device_name() if args.device == "cuda" else f"{torch.get_num_threads()} threads")
    usual = args.size
    for spec in args.net or ["vae_decoder", "musetalk_unet"]:
        name, batches, size = (spec.split(":") + ["", ""])[:3]
        args.size = int(size) if size else usual
        for b in (batches or args.batch).split(","):
            measure(args, name, int(b))


if __name__ == "__main__":
    main()
