"""What happens to a picture between a face and a file, on the device, batch at a time.

Does: colour, light, blur, resampling, noise, compression, covers, other backgrounds. x is [B,3,H,W] in 0…1.
Does not: move anything (data.py). List and ranges follow the fact sheet on faces, 5.5, widened.
"""
import math

import torch
import torch.nn.functional as F


class Augment:
    def __init__(self, device):
        self.dev = device
        q = [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
             51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
             120, 101, 72, 92, 95, 98, 112, 100, 103, 99]
        self.q_y = torch.tensor(q, device=device, dtype=torch.float32).view(8, 8) / 255
        self.q_c = torch.full((8, 8), 99.0, device=device)
        for i, row in enumerate([[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]):
            self.q_c[i, :4] = torch.tensor(row, dtype=torch.float32)
        self.q_c /= 255
        n = torch.arange(8, dtype=torch.float32)
        d = torch.cos((2 * n[None] + 1) * n[:, None] * math.pi / 16) * 0.5
        d[0] *= math.sqrt(0.5)
        self.dct = d.to(device)
        self.ycc = torch.tensor([[.299, .587, .114], [-.1687, -.3313, .5], [.5, -.4187, -.0813]], device=device)
        self.rgb = torch.linalg.inv(self.ycc)
        self.yellow = torch.tensor([0.0, 0.35, 1.0], device=device).view(1, 3, 1, 1)

    def r(self, *s):
        return torch.rand(*s, device=self.dev)

    def u(self, lo, hi, *s):
        return lo + (hi - lo) * torch.rand(*s, device=self.dev)

    def pick(self, B, p):
        return torch.randperm(B, device=self.dev)[:int(B * p + float(torch.rand(())))]  # a count that needs no answer

    def mix(self, m, x):
        return torch.einsum("ij,bjhw->bihw", m.to(x.dtype), x)

    def field(self, B, cells, H, W):
        """Smooth noise of mean 0, about -1…1, [B,1,H,W]."""
        return F.interpolate(torch.randn(B, 1, cells, cells, device=self.dev), (H, W), mode="bicubic", align_corners=False)

    # ---- where things are -------------------------------------------------------------------------------------
    def background(self, x, alpha, p):
        """Swap what is not the person (alpha 0) for pieces of other pictures, noise or plain colour."""
        B, _, H, W = x.shape
        i = self.pick(B, p)
        if not len(i):
            return x
        n = len(i)
        src = x[torch.randperm(B, device=self.dev)[:n]].float()
        A = self.u(0.25, 1.0, n)[:, None, None] * torch.eye(2, device=self.dev)[None]
        A = torch.cat([A * torch.sign(self.r(n, 2) - 0.5)[:, None], self.u(-0.9, 0.9, n, 2)[..., None]], 2)
        bg = F.grid_sample(src, F.affine_grid(A, (n, 3, H, W), align_corners=False), padding_mode="reflection", align_corners=False)
        kind = self.r(n)[:, None, None, None]
        soft = F.interpolate(F.interpolate(bg, (12, 12), mode="area"), (H, W), mode="bicubic", align_corners=False)
        bg = torch.where(kind < 0.45, soft, bg)
        plain = self.r(n, 3, 1, 1) + self.u(0, 0.12, n, 1, 1, 1) * self.field(n, 5, H, W)
        bg = torch.where(kind < 0.22, plain.expand_as(bg), bg)
        noise = self.r(n, 3, 1, 1) + self.u(0, 0.3, n, 1, 1, 1) * (self.field(n, 24, H, W) + self.field(n, 6, H, W))
        bg = torch.where(kind < 0.1, noise.expand_as(bg), bg).clamp(0, 1)
        a = alpha[i][:, None].to(x.dtype)
        x[i] = x[i] * a + bg.to(x.dtype) * (1 - a)
        return x

    def cover(self, x, parts, p):
        """Shapes before the face: pieces of other pictures or skin- or cloth-like colours. Labels them as occluder."""
        B, _, H, W = x.shape
        i = self.pick(B, p)
        if not len(i):
            return x, parts, None
        n = len(i)
        u = (torch.arange(H, device=self.dev) + 0.5) * (2.0 / H) - 1
        yy, xx = torch.meshgrid(u, u, indexing="ij")
        c = self.u(-0.8, 0.8, n, 2)
        ang = self.u(0, 6.2832, n)
        dx, dy = xx[None] - c[:, 0, None, None], yy[None] - c[:, 1, None, None]
        co, si = ang.cos()[:, None, None], ang.sin()[:, None, None]
        a, b = co * dx + si * dy, co * dy - si * dx
        r = self.u(0.06, 0.42, n)[:, None, None]
        ell = (a / (r * self.u(0.6, 1.6, n)[:, None, None])) ** 2 + (b / r) ** 2 - 1
        cap = torch.sqrt((a.abs() - self.u(0.2, 0.9, n)[:, None, None]).clamp(min=0) ** 2 + b ** 2) / (0.35 * r) - 1
        box = torch.maximum(a.abs() / (1.4 * r), b.abs() / r) - 1
        half = (b + self.u(-0.1, 0.3, n)[:, None, None]) * 3  # a half plane from the side
        kind = self.r(n)[:, None, None]
        d = torch.where(kind < 0.4, ell, torch.where(kind < 0.75, cap, torch.where(kind < 0.92, box, half + 1.5)))
        d = d + 0.25 * self.field(n, 8, H, W)[:, 0]
        m = torch.sigmoid(-d * 18)
        src = torch.roll(x, 1, 0)[i]
        col = (x[i][:, :, H // 3:H // 2, W // 3:W // 2].float().mean((2, 3)) * self.u(0.5, 1.3, n, 3))[:, :, None, None]
        col = torch.where(self.r(n, 1, 1, 1) < 0.5, col, self.r(n, 3, 1, 1)) * (1 + 0.25 * self.field(n, 6, H, W))
        src = torch.where(self.r(n, 1, 1, 1) < 0.55, src, col.clamp(0, 1).to(x.dtype))
        x[i] = (x[i] * (1 - m[:, None]) + src * m[:, None]).to(x.dtype)
        hit = F.interpolate(m[:, None], parts.shape[1:], mode="area")[:, 0] > 0.5
        parts[i] = torch.where(hit, 9, parts[i])
        full = torch.zeros(B, H, W, device=self.dev, dtype=torch.bool)
        full[i] = m > 0.5
        return x, parts, full

    def swap(self, x, parts, p):
        """Another crop's mouth over this one's, softly: what lip-sync does to a face. Where the eyes, the nose and
        the head are must not depend on it. Returns the mask [B,H,W] as well."""
        B, _, H, W = x.shape
        i = self.pick(B, p)
        full = torch.zeros(B, H, W, device=self.dev)
        if not len(i):
            return x, parts, full
        n = len(i)
        u = (torch.arange(H, device=self.dev) + 0.5) * (2.0 / H) - 1
        yy, xx = torch.meshgrid(u, u, indexing="ij")
        c = torch.stack([self.u(-0.06, 0.06, n), self.u(0.34, 0.48, n)], 1)
        a, b = (xx[None] - c[:, 0, None, None]) / self.u(0.24, 0.4, n)[:, None, None], (yy[None] - c[:, 1, None, None]) / self.u(0.16, 0.3, n)[:, None, None]
        m = torch.sigmoid((1 - a * a - b * b) * self.u(3, 12, n)[:, None, None])
        j = (i + 1) % B
        src = x[j].float()
        # the other skin in this one's colours
        w = m[:, None] / m.sum((1, 2))[:, None, None, None]
        gain = ((x[i].float() * w).sum((2, 3)) + 0.02) / ((src * w).sum((2, 3)) + 0.02)
        src = (src * gain[:, :, None, None].clamp(0.3, 3)).clamp(0, 1)
        other = parts[j]
        x[i] = (x[i] * (1 - m[:, None]) + src.to(x.dtype) * m[:, None]).to(x.dtype)
        hit = F.interpolate(m[:, None], parts.shape[1:], mode="area")[:, 0] > 0.5
        parts[i] = torch.where(hit, other, parts[i])
        full[i] = m
        return x, parts, full

    def texture(self, x, parts, p):
        """Other colours per part: lips, brows, hair, clothes, teeth."""
        B, _, H, W = x.shape
        i = self.pick(B, p)
        if not len(i):
            return x
        lut = torch.exp(torch.randn(len(i), 12, 3, device=self.dev) * 0.16 + torch.randn(len(i), 12, 1, device=self.dev) * 0.2)
        lut[:, 0] = 1
        f = lut[torch.arange(len(i), device=self.dev)[:, None, None], parts[i]].permute(0, 3, 1, 2)
        f = F.avg_pool2d(F.pad(f, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x[i] = (x[i] * F.interpolate(f, (H, W), mode="bilinear").to(x.dtype)).clamp(0, 1)
        return x

    def mouth(self, x, parts, p):
        """Other insides of a mouth: teeth in shadow, yellow or as red as lips, a tongue close behind them, lips as pale as
        the skin around them. Where a lip ends must not be read from one colour of teeth."""
        B, _, H, W = x.shape
        i = self.pick(B, p)
        if not len(i):
            return x
        n = len(i)
        y, q = x[i].float(), parts[i]
        soft = lambda k: F.interpolate(F.avg_pool2d((q == k).float()[:, None], 3, 1, 1), (H, W), mode="bilinear", align_corners=False)
        skin, lips, inner, teeth = soft(1), soft(2), soft(3), soft(4)
        mean = lambda m: (y * m).sum((2, 3), keepdim=True) / (m.sum((2, 3), keepdim=True) + 1e-3)
        low = torch.zeros(H, device=self.dev)
        low[H // 2:] = 1  # the skin around the mouth rather than the forehead
        c_skin, c_lips = mean(skin * low[:, None]), mean(lips)
        on = lambda c: (self.r(n, 1, 1, 1) < c).float()
        # Teeth: darker, tinted, and the more in shadow the nearer to the upper lip.
        hole = (inner + teeth).clamp(0, 1)
        down = torch.cumsum(hole, 2) * (192.0 / H)  # rows of opening above, in crop pixels
        shade = 1 - on(0.6) * self.u(0, 0.8, n, 1, 1, 1) * torch.exp(-down / self.u(1, 7, n, 1, 1, 1))
        t = y * torch.exp(on(0.7) * self.u(-1.3, 0.15, n, 1, 1, 1)) * (1 - on(0.5) * self.u(0, 0.3, n, 1, 1, 1) * self.yellow)
        k = on(0.45) * self.u(0, 0.75, n, 1, 1, 1)
        t = t * (1 - k) + c_lips * self.u(0.5, 1.2, n, 1, 1, 1) * k
        # The lower row: ICT's mouths hardly ever show it, people who speak do.
        up = torch.flip(torch.cumsum(torch.flip(hole, (2,)), 2), (2,)) * (192.0 / H)
        row = on(0.45) * torch.sigmoid((self.u(2, 9, n, 1, 1, 1) * (1 + 0.25 * self.field(n, 4, H, W)) - up) * 2)
        cols = (torch.arange(W, device=self.dev) / W * self.u(28, 60, n, 1) + self.u(0, 1, n, 1)) % 1.0
        gaps = 1 - self.u(0, 0.35, n, 1, 1, 1) * torch.exp(-((cols - 0.5) / 0.12) ** 2)[:, None, None]
        tone = (c_skin.mean(1, keepdim=True) * self.u(0.7, 1.9, n, 1, 1, 1) + self.u(-0.05, 0.1, n, 1, 1, 1)) * (1 - self.u(0, 0.25, n, 1, 1, 1) * self.yellow)
        tone = tone + self.u(0, 0.5, n, 1, 1, 1) * (c_lips - tone)
        # The dark behind them: a tongue, more or less lit.
        k = on(0.5) * self.u(0, 0.8, n, 1, 1, 1) * torch.sigmoid((self.field(n, 5, H, W) + self.u(-1, 1, n, 1, 1, 1)) * 4)
        d = y * torch.exp(on(0.5) * self.u(-1, 0.5, n, 1, 1, 1)) * (1 - k) + c_lips * self.u(0.3, 1.0, n, 1, 1, 1) * k
        # Lips: towards the skin, or away from it.
        k = on(0.6) * self.u(-0.5, 0.85, n, 1, 1, 1)
        l = y + k * (c_skin - c_lips)
        y = y + teeth * (t * shade - y)
        y = y + inner * (d * shade - y)
        y = y + hole * row * (tone * gaps * (0.4 + 0.6 * shade) - y)
        y = y + lips * (l - y)
        x[i] = y.clamp(0, 1).to(x.dtype)
        hit = F.interpolate(row, parts.shape[1:], mode="area")[:, 0] > 0.5
        parts[i] = torch.where(hit & (q == 3), 4, q)
        return x, parts

    # ---- light and colour -------------------------------------------------------------------------------------
    def light(self, x, p=0.35):
        B, _, H, W = x.shape
        i = self.pick(B, p)
        n = len(i)
        if not n:
            return x
        u = (torch.arange(H, device=self.dev) + 0.5) * (2.0 / H) - 1
        ang = self.u(0, 6.2832, n)
        d = ang.cos()[:, None, None] * u[None, None] + ang.sin()[:, None, None] * u[None, :, None]
        d = d - self.u(-0.6, 0.6, n)[:, None, None] + 0.12 * self.field(n, 6, H, W)[:, 0]
        k = torch.exp(self.u(0.0, 3.4, n))[:, None, None]
        lo = self.u(0.3, 0.9, n)[:, None, None, None]
        f = lo + (1 - lo) * torch.sigmoid(d * k)[:, None]
        x[i] = (x[i] * f * (0.5 + 0.5 / f.mean((1, 2, 3), keepdim=True))).clamp(0, 1.2).to(x.dtype)
        return x

    def colour(self, x):
        B = x.shape[0]
        v = lambda lo, hi: self.u(lo, hi, B, 1, 1, 1)
        on = lambda p: (self.r(B, 1, 1, 1) < p).float()
        x = x.float()
        # What is nearly black or all of one tone shows no face: lift it to where one can be seen.
        mu = x.mean((1, 2, 3), keepdim=True)
        x = x * (v(0.12, 0.35) / mu.clamp(min=0.02)).clamp(min=1)
        mu, sd = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        x = (x - mu) * (v(0.09, 0.2) / sd.clamp(min=0.01)).clamp(min=1) + mu.clamp(max=0.75)
        # Statistics of another picture of the batch.
        i = self.pick(B, 0.2)
        if len(i):
            o = torch.roll(x, 3, 0)[i]
            mu, sd = x[i].mean((2, 3), keepdim=True), x[i].std((2, 3), keepdim=True) + 0.02
            mo, so = o.mean((2, 3), keepdim=True), o.std((2, 3), keepdim=True) + 0.02
            k = self.u(0.2, 0.8, len(i), 1, 1, 1)
            x[i] = (x[i] - mu) * ((1 - k) + k * (so / sd).clamp(0.5, 2)) + mu * (1 - k) + mo * k
        gain = torch.exp(on(0.9) * torch.randn(B, 1, 1, 1, device=self.dev) * 0.18)
        wb = torch.exp(on(0.7) * torch.randn(B, 3, 1, 1, device=self.dev) * 0.09)
        x = (x * gain * wb).clamp(0, 2)
        x = (x + 1e-4) ** torch.exp(on(0.8) * v(-0.5, 0.5))
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) * (1 + on(0.8) * v(-0.4, 0.45)) + mean + on(0.7) * v(-0.14, 0.14)
        grey = self.mix(self.ycc[:1], x)
        sat = 1 + on(0.8) * v(-0.7, 0.7)
        sat = torch.where(self.r(B, 1, 1, 1) < 0.07, torch.zeros_like(sat), sat)
        x = grey + (x - grey) * sat
        # Over-exposure with a knee, crushed blacks.
        over = 1 + (self.r(B, 1, 1, 1) < 0.1).float() * v(0.2, 0.9)
        x = (x * over).clamp(0, 1)
        x = ((x - (self.r(B, 1, 1, 1) < 0.12).float() * v(0, 0.15)) * 1.0).clamp(0, 1)
        return x

    # ---- lens, sensor, file -----------------------------------------------------------------------------------
    def kernels(self, n, size=11):
        """Gaussian, disc or motion kernels [n,1,size,size]."""
        u = torch.arange(size, device=self.dev) - size // 2
        yy, xx = torch.meshgrid(u.float(), u.float(), indexing="ij")
        r2 = (xx ** 2 + yy ** 2)[None]
        g = torch.exp(-r2 / (2 * self.u(0.4, 2.4, n)[:, None, None] ** 2))
        disc = torch.sigmoid((self.u(0.8, 3.4, n)[:, None, None] - torch.sqrt(r2)) * 4)
        ang = self.u(0, 3.1416, n)[:, None, None]
        along, across = ang.cos() * xx + ang.sin() * yy, ang.cos() * yy - ang.sin() * xx
        mot = torch.exp(-(across / 0.6) ** 2) * torch.sigmoid((self.u(1, 5, n)[:, None, None] - along.abs()) * 3)
        kind = self.r(n)[:, None, None]
        k = torch.where(kind < 0.5, g, torch.where(kind < 0.75, disc, mot))
        return (k / k.sum((1, 2), keepdim=True))[:, None]

    def filter(self, x, k):
        n, c, H, W = x.shape
        p = k.shape[-1] // 2
        k = k.expand(n, c, -1, -1).reshape(n * c, 1, *k.shape[2:]).to(x.dtype)
        return F.conv2d(F.pad(x.reshape(1, n * c, H, W), (p, p, p, p), mode="replicate"), k, groups=n * c).view(n, c, H, W)

    def blur(self, x, p=0.3):
        i = self.pick(len(x), p)
        if len(i):
            x[i] = self.filter(x[i], self.kernels(len(i)))
        return x

    def sharpen(self, x, p=0.2):
        i = self.pick(len(x), p)
        if len(i):
            y = x[i]
            u = torch.arange(5, device=self.dev).float() - 2
            g = torch.exp(-(u[None] ** 2 + u[:, None] ** 2) / (2 * float(torch.rand(()) + 0.5) ** 2))
            x[i] = (y + self.u(0.2, 1.5, len(i), 1, 1, 1).to(x.dtype) * (y - self.filter(y, (g / g.sum())[None, None]))).clamp(0, 1)
        return x

    def resample(self, x, p=0.4, parts=3):
        """Down and up again by a factor of 1 to 4, another for each of `parts` groups."""
        B, _, H, W = x.shape
        order = torch.randperm(B, device=self.dev)
        n = int(B * p / parts)
        for j in range(parts if n else 0):
            i = order[j * n:(j + 1) * n]
            f = float(torch.exp(torch.rand(()) * 1.3))
            s = max(16, int(H / f))
            down = ["area", "bilinear", "bicubic", "nearest-exact"][int(torch.multinomial(torch.tensor([4., 3, 2, .5]), 1))]
            up = ["bilinear", "bicubic", "nearest-exact"][int(torch.multinomial(torch.tensor([3., 3, .4]), 1))]
            y = F.interpolate(x[i].float(), (s, s), mode=down)
            x[i] = F.interpolate(y, (H, W), mode=up).clamp(0, 1).to(x.dtype)
        return x

    def noise(self, x, p=0.5):
        B, _, H, W = x.shape
        i = self.pick(B, p)
        n = len(i)
        if n:
            y = x[i]
            s = torch.exp(self.u(-6.0, -2.8, n, 1, 1, 1)).to(x.dtype)
            mono = self.r(n, 1, 1, 1) < 0.4
            w = torch.randn(n, 3, H, W, device=self.dev, dtype=x.dtype)
            w = torch.where(mono, w[:, :1].expand_as(w), w)
            coarse = F.interpolate(torch.randn(n, 3, H // 3, W // 3, device=self.dev, dtype=x.dtype), (H, W), mode="bilinear")
            w = torch.where(self.r(n, 1, 1, 1) < 0.3, coarse, w)
            x[i] = (y + s * w * (0.5 + y.clamp(0, 1) * self.u(-0.3, 0.8, n, 1, 1, 1).to(x.dtype))).clamp(0, 1)
        return x

    def _code(self, y, q):
        n, c, H, W = y.shape
        d = self.dct.to(y.dtype)
        b = y.view(n, c, H // 8, 8, W // 8, 8).transpose(3, 4)
        f = d @ b @ d.t()
        f = torch.round(f / q) * q
        return (d.t() @ f @ d).transpose(3, 4).reshape(n, c, H, W)

    def jpeg(self, x, p=0.5):
        i = self.pick(len(x), p)
        n = len(i)
        if not n:
            return x
        y = self.mix(self.ycc, x[i].float())
        s = torch.exp(self.u(-1.8, 1.5, n))[:, None, None, None, None, None]
        H = y.shape[2]
        sh = int(torch.randint(0, 8, ()))
        y = torch.roll(y, (sh, sh), (2, 3))
        l = self._code(y[:, :1] - 0.5, self.q_y * s) + 0.5
        c = self._code(F.avg_pool2d(y[:, 1:], 2), self.q_c * s)
        c = F.interpolate(c, (H, H), mode="bilinear" if torch.rand(()) < 0.7 else "nearest")
        y = torch.roll(torch.cat([l, c], 1), (-sh, -sh), (2, 3))
        x[i] = self.mix(self.rgb, y).clamp(0, 1).to(x.dtype)
        return x

    def captions(self, x, p=0.04):
        """Bars and interlace."""
        B, _, H, W = x.shape
        i = self.pick(B, p)
        if len(i):
            y = x[i]
            k = float(torch.rand(()))
            if k < 0.5:
                y[:, :, 1::2] = torch.roll(y, int(torch.randint(1, 4, ())), 3)[:, :, 1::2]
            else:
                a = int(torch.randint(0, H - 16, ()))
                y[:, :, a:a + int(torch.randint(4, 16, ()))] = float(torch.rand(()) > 0.5)
            x[i] = y
        return x

    def sensor(self, x, strength=1.0):
        """Everything after the scene, in an order of its own per call."""
        x = self.light(x, 0.35 * strength)
        x = self.colour(x)
        if x.device.type == "cuda":
            x = x.half()
        x = self.blur(x, 0.32 * strength)
        x = self.noise(x, 0.35 * strength)
        x = self.resample(x, 0.42 * strength)
        x = self.sharpen(x, 0.2 * strength)
        x = self.jpeg(x, 0.45 * strength)
        x = self.noise(x, 0.2 * strength)
        return self.captions(x)
