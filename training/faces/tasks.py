"""Batches, losses and figures of the two trainings: landmarks with parts, and the detector."""
import math

import torch
import torch.nn.functional as F

import data
import nets


class Landmarks:
    def __init__(self, cache, cutter, aug):
        self.cache, self.cutter, self.aug, self.dev = cache, cutter, aug, cutter.device
        lam = torch.ones(nets.N_POINTS, device=self.dev)
        for ids, v in ((data.OVAL, 0.7), (data.OUTER, 2.5), (data.MIDLIP, 2.5), (data.INNER, 5.0), (data.LIDS, 2.0)):
            lam[ids] = v
        lam[468:478] = 1.5
        lam[478:482] = 2.0
        lam[482:] = 0.3
        self.lam = lam / lam.mean()
        lw = torch.tensor([3.0 if n.startswith(("jaw", "mouth")) else 1.0 for n in data.EXPRESSIONS], device=self.dev)
        self.lw = lw / lw.mean()
        up, lo = zip(*(data.LIP_PAIRS + data.LID_PAIRS))
        self.up, self.lo = torch.tensor(up, device=self.dev), torch.tensor(lo, device=self.dev)
        rot6_constants(self.dev)
        self.n_stiff = len(data.STIFF)
        self.groups = torch.zeros(len(data.STIFF) + len(data.LOOSE), nets.N_POINTS, device=self.dev)
        for i, ids in enumerate(data.STIFF + data.LOOSE):
            self.groups[i, ids] = 1.0 / len(ids)
        self.n_lip = len(data.LIP_PAIRS)
        pw = torch.ones(nets.N_PARTS, device=self.dev)
        pw[torch.tensor([2, 3, 4, 5, 6, 8])] = 2.0
        pw[9] = 1.3
        self.pw = pw

    def batch(self, B):
        # Of two pictures the one whose lips are as far apart as in speech, mostly.
        idx = torch.randint(0, self.cache.n, (2, B), device=self.dev)
        gap = self.cache.t["gap"][idx[1]]
        speaks = (gap > 0.05) & (gap < 1.6) & (torch.rand(B, device=self.dev) < 0.7)
        idx = torch.where(speaks, idx[1], idx[0])
        b = self.cutter.cut(self.cache, idx, 1.0)
        a = self.aug
        x = b["x"].float()
        parts = b["parts"]
        person = F.interpolate((parts > 0).float()[:, None], x.shape[2:], mode="bilinear")[:, 0] * b["inside"]
        x = a.texture(x, parts, 0.2)
        x, parts = a.mouth(x, parts, 0.5)
        x = a.background(x, person, 0.55)
        x, parts, mouth = a.swap(x, parts, 0.1)
        # A point under a foreign mouth counts nothing, nor does a picture's expression.
        p = ((b["pts"][..., :2] + 1) * (0.5 * x.shape[2])).long().clamp(0, x.shape[2] - 1)
        at = torch.arange(B, device=self.dev)[:, None]
        b["own"] = 1 - mouth[at, p[..., 1], p[..., 0]].clamp(0, 1)
        b["mouth"] = 1 - (mouth.amax((1, 2)) > 0).float()
        x, parts, full = a.cover(x, parts, 0.3)
        if full is not None:  # points under a cover count little
            hid = full[at, p[..., 1], p[..., 0]]
            b["vis"] = b["vis"] * (~hid)
        plain = torch.rand(B, 1, 1, 1, device=self.dev) < 0.2  # and some as drawn
        x = torch.where(plain, x, a.sensor(x.clone()).float())
        b["x"] = ((x.float() * 255).round().clamp(0, 255) / 127.5 - 1)
        b["parts"] = parts
        return b

    def loss(self, out, logits, b):
        B = len(out)
        pres = b["present"]
        n = pres.sum().clamp(min=1)
        o = out[:, :2048].view(B, 512, 4)
        d = (o[..., :3] - b["pts"]) * (0.5 * nets.LM_SIZE)  # crop pixels
        in_crop = (b["pts"][..., :2].abs() < 1.1).all(-1).float()
        w = self.lam * torch.where(b["vis"] > 0, 1.0, 0.4) * (0.15 + 0.85 * in_crop) * b["own"] * pres[:, None]
        d2 = torch.sqrt((d[..., :2] ** 2).sum(-1) + 0.02)
        z = d[..., 2].abs()
        pts = (w * d2).sum() / (n * 512)
        zz = (w * z).sum() / (n * 512)
        ls = o[..., 3].clamp(-nets.SIGMA_RANGE, nets.SIGMA_RANGE)
        nll = (w * (2 * ls + (d[..., :2].detach() ** 2).sum(-1) * 0.5 * torch.exp(-2 * ls))).sum() / (n * 512)
        e = d[..., :2]
        g = (e[:, self.up] - e[:, self.lo]).abs().sum(-1) * pres[:, None]
        own = pres * b["mouth"]
        gap = ((g[:, :self.n_lip].mean(1) * b["mouth"]).sum() + 0.5 * g[:, self.n_lip:].mean(1).sum()) / n
        # Where eyes, nose, brow, cheeks, lips and chin lie to each other: what a pose is made of.
        part = self.groups @ (d * b["own"][..., None])  # [B,groups,3]
        part = part - part[:, :self.n_stiff].mean(1, keepdim=True)
        part = part[..., :2].abs().sum(-1) + 0.3 * part[..., 2].abs()
        keep = torch.cat([torch.ones_like(part[:, :self.n_stiff]), b["mouth"][:, None].expand(-1, part.shape[1] - self.n_stiff)], 1)
        place = (part * keep * pres[:, None]).sum() / (n * part.shape[1])
        wt = ((torch.sigmoid(out[:, 2048:2101]) - b["weights"]).abs() * self.lw * own[:, None]).sum() / (n * 53)
        R = rot6(out[:, 2101:2107])
        rot = ((R - b["R"]) ** 2).sum((1, 2)).mul(pres).sum() / n
        pr = F.binary_cross_entropy_with_logits(out[:, 2107], pres)
        ce = F.cross_entropy(logits.float(), b["parts"], weight=self.pw, reduction="none")
        seg = (ce * b["parts_ok"]).mean()
        total = pts + 0.3 * zz + 0.1 * nll + 1.8 * gap + 0.35 * place + 4.0 * wt + 2.0 * rot + 0.5 * pr + 1.5 * seg
        return total, {"points": pts, "z": zz, "nll": nll, "gap": gap, "place": place, "weights": wt, "rotation": rot, "presence": pr, "parts": seg}

    @torch.no_grad()
    def evaluate(self, lm, parts, cache, attribute_names, batch=256, amp=False):
        """Figures on held-out people, overall and per attribute: % of the outer eye distance, degrees, IoU."""
        torch.manual_seed(99)
        rows, inter, union, att = [], torch.zeros(12, device=self.dev), torch.zeros(12, device=self.dev), []
        gt, pr = [], []
        for a in range(0, cache.n, batch):
            idx = torch.arange(a, min(cache.n, a + batch), device=self.dev)
            b = self.cutter.cut(cache, idx, 0.0)
            x = b["x"].float() * 2 - 1
            with torch.autocast(self.dev.type, torch.bfloat16, enabled=amp):
                out, f = lm(x)
                lg = parts(f)
            o = out[:, :2048].float().view(-1, 512, 4)
            io = data.CM_OUTER / b["cm"] / (0.5 * nets.LM_SIZE)  # outer eye distance in half sides of the crop
            e = (o[..., :2] - b["pts"][..., :2]).norm(dim=-1) / io[:, None] * 100
            gap = lambda p: torch.stack([(p[:, i, :2] - p[:, j, :2]).norm(dim=-1) for i, j in data.LIP_PAIRS[:5]], 1).mean(1) / io * 100
            g0, g1 = gap(b["pts"]), gap(o)
            gt.append(g0)
            pr.append(g1)
            R = rot6(out[:, 2101:2107].float())
            c = ((R * b["R"]).sum((1, 2)) - 1) / 2
            deg = torch.rad2deg(torch.acos(c.clamp(-1, 1)))
            rows.append(torch.stack([e[:, :468].mean(1), e[:, data.INNER].mean(1), e[:, data.LIDS].mean(1),
                                     e[:, 468:478].mean(1), (g0 - g1).abs(), deg,
                                     (torch.sigmoid(out[:, 2048:2101].float()) - b["weights"]).abs().mean(1),
                                     (out[:, 2107] > 0).float()], 1))
            att.append(b["attributes"])
            p = lg.argmax(1)
            for k in range(12):
                inter[k] += ((p == k) & (b["parts"] == k) & b["parts_ok"]).sum()
                union[k] += (((p == k) | (b["parts"] == k)) & b["parts_ok"]).sum()
        r, att = torch.cat(rows), torch.cat(att)
        names = ["face", "inner_lips", "lids", "irises", "gap_error", "degrees", "weights", "presence"]
        fig = {"all": dict(zip(names, r.mean(0).tolist()), n=len(r))}
        for k, name in enumerate(attribute_names):
            m = att[:, k] > 0
            if m.any():
                fig[name] = dict(zip(names, r[m].mean(0).tolist()), n=int(m.sum()))
        g0, g1 = torch.cat(gt), torch.cat(pr)
        fig["all"]["gap_correlation"] = float(torch.corrcoef(torch.stack([g0, g1]))[0, 1])
        fig["all"]["iou"] = (inter / union.clamp(min=1)).tolist()
        return fig


_AXES = {}


def rot6_constants(dev):
    """Small vectors that keep rot6 defined at zero; made once, a captured step may not make any."""
    if dev not in _AXES:
        _AXES[dev] = torch.tensor([[1e-4, 0, 0], [0, 1e-4, 0]], device=dev)
    return _AXES[dev]


def rot6(v):
    c = rot6_constants(v.device)
    a = F.normalize(v[:, :3] + c[0], dim=1)
    b = v[:, 3:] - (v[:, 3:] * a).sum(1, keepdim=True) * a
    b = F.normalize(b + c[1], dim=1)
    return torch.stack([a, b, torch.cross(a, b, dim=1)], 2)


class Detection:
    """Scenes of up to two people from cached pictures; faces of 12 to 130 px in 160."""
    S = nets.DET_SIZE

    def __init__(self, cache, cutter, aug):
        self.cache, self.cutter, self.aug, self.dev = cache, cutter, aug, cutter.device
        self.level = []
        for s in (8, 16):
            n = self.S // s
            u = (torch.arange(n, device=self.dev) + 0.5) * s
            yy, xx = torch.meshgrid(u, u, indexing="ij")
            self.level.append((s, torch.stack([xx, yy], -1).view(-1, 2)))

    def layer(self, cache, B, cover):
        """A picture placed on the canvas: colours, cover of the person, inside, box, five points."""
        dev, S = self.dev, self.S
        idx = torch.randint(0, cache.n, (B,), device=dev)
        if cover:  # a window of the picture fills the canvas
            win = 256 * (0.3 + 0.7 * torch.rand(B, device=dev).sqrt())
            win = torch.where(torch.rand(B, device=dev) < 0.15, 256 * (0.08 + 0.3 * torch.rand(B, device=dev)), win)  # cloth, hair, hands
            size = 256 * S / win
            at = -torch.rand(B, 2, device=dev) * (size - S)[:, None]
        else:
            size = torch.exp(math.log(20) + torch.rand(B, device=dev) * (math.log(330) - math.log(20)))
            at = torch.rand(B, 2, device=dev) * S - torch.rand(B, 2, device=dev) * size[:, None]
        f = torch.where(torch.rand(B, device=dev) < 0.5, -1.0, 1.0)
        k = 256 / size
        roll = torch.randn(B, device=dev) * 0.15
        co, si = roll.cos(), roll.sin()
        # canvas point p -> picture point: A (p - centre) + 128
        A = k[:, None, None] * torch.stack([co * f, -si, si * f, co], 1).view(B, 2, 2)
        ctr = at + 0.5 * size[:, None]
        u = torch.arange(S, device=dev) + 0.5
        yy, xx = torch.meshgrid(u, u, indexing="ij")
        q = torch.stack([xx, yy], -1).view(1, -1, 2) - ctr[:, None]
        pos = (q @ A.transpose(1, 2) + 128).view(B, S, S, 2)
        img = cache.t["image"][idx].permute(0, 3, 1, 2).float() / 255
        lod = torch.log2(k.clamp(min=1) * 1.1).round().clamp(0, 4).long()
        x, lv = None, img
        for j in range(5):
            y = self.cutter.sample(lv, pos * (lv.shape[2] / 256.0), pad="border" if cover else "zeros")
            x = y if x is None else torch.where((lod == j)[:, None, None, None], y, x)
            lv = F.avg_pool2d(lv, 2)
        inside = ((pos > 0) & (pos < 256)).all(-1)
        pi = (pos * 0.5).long().clamp(0, 127)
        person = cache.t["parts"][idx][torch.arange(B, device=dev)[:, None, None], pi[..., 1], pi[..., 0]] > 0
        lm = (cache.t["landmarks"][idx][:, :478, :2] - 128) @ torch.linalg.inv(A).transpose(1, 2) + ctr[:, None]
        lo, hi = lm[:, :468].amin(1), lm[:, :468].amax(1)
        g = 0.05 * (hi - lo)
        er, el = 0.5 * (lm[:, 33] + lm[:, 133]), 0.5 * (lm[:, 263] + lm[:, 362])
        fl = (f < 0)[:, None]
        five = torch.stack([torch.where(fl, el, er), torch.where(fl, er, el), lm[:, 4],
                            torch.where(fl, lm[:, 291], lm[:, 61]), torch.where(fl, lm[:, 61], lm[:, 291])], 1)
        return x.float(), person & inside, inside, torch.cat([lo - g, hi + g], 1), five

    def batch(self, B, cache=None, augment=True):
        cache, S, dev = cache or self.cache, self.S, self.dev
        x, per, _, box0, pt0 = self.layer(cache, B, True)
        y, per1, ins1, box1, pt1 = self.layer(cache, B, False)
        # Backgrounds of other pictures, also without any person.
        use = torch.rand(B, device=dev) < 0.6
        rect = (torch.rand(B, device=dev) < 0.4)[:, None, None]
        m = torch.where(rect, ins1, per1) & use[:, None, None]
        soft = torch.rand(B, device=dev) < 0.25  # the first layer as mere blur: scenes without its face
        blur = F.interpolate(F.interpolate(x, (8, 8), mode="area"), (S, S), mode="bicubic", align_corners=False)
        x = torch.where(soft[:, None, None, None], blur.clamp(0, 1), x)
        x = torch.where(m[:, None], y, x)
        lim = torch.zeros(B, 4, device=dev)
        lim[:, 2:] = S
        # Letterbox bars.
        bar = (torch.rand(B, device=dev) * 36).floor() * (torch.rand(B, device=dev) < 0.6)
        tall = torch.rand(B, device=dev) < 0.5
        lim[:, 0] = torch.where(tall, bar, 0)
        lim[:, 2] = S - lim[:, 0]
        lim[:, 1] = torch.where(tall, 0, bar)
        lim[:, 3] = S - lim[:, 1]
        box = torch.stack([box0, box1], 1)
        pts = torch.stack([pt0, pt1], 1)
        cl = torch.cat([torch.maximum(box[..., :2], lim[:, None, :2]), torch.minimum(box[..., 2:], lim[:, None, 2:])], -1)
        area = lambda b: (b[..., 2] - b[..., 0]).clamp(min=0) * (b[..., 3] - b[..., 1]).clamp(min=0)
        see = area(cl) / area(box).clamp(min=1)
        u = torch.arange(S, device=dev) + 0.5
        in0 = ((u[None, None] > box0[:, 0, None, None]) & (u[None, None] < box0[:, 2, None, None]) &
               (u[None, :, None] > box0[:, 1, None, None]) & (u[None, :, None] < box0[:, 3, None, None]))
        hid = (in0 & m).sum((1, 2)) / in0.sum((1, 2)).clamp(min=1)
        see = torch.stack([see[:, 0] * (1 - hid) * (~soft), see[:, 1] * use], 1)
        size = area(box).sqrt()
        good = (see > 0.62) & (size > 10.5) & (size < 190)
        part = ~good & (see > 0.2)
        if augment:
            a = self.aug
            x, _, full = a.cover(x, torch.zeros(B, 40, 40, dtype=torch.long, device=dev), 0.15)
            plain = torch.rand(B, 1, 1, 1, device=dev) < 0.2
            x = torch.where(plain, x, a.sensor(x.clone(), 0.8).float())
            if full is not None:
                h1 = torch.stack([self.share(full, box[:, j]) for j in range(2)], 1)
                part = part | (good & (h1 > 0.5))
                good = good & (h1 <= 0.5)
        vis = (u[None, None] > lim[:, 0, None, None]) & (u[None, None] < lim[:, 2, None, None]) & \
            (u[None, :, None] > lim[:, 1, None, None]) & (u[None, :, None] < lim[:, 3, None, None])
        x = (x.clamp(0, 1) * 255).round() * vis[:, None] / 127.5 - 1
        return {"x": x, "box": box, "pts": pts, "good": good, "part": part, "size": size}

    def share(self, mask, box):
        u = torch.arange(self.S, device=self.dev) + 0.5
        inn = ((u[None, None] > box[:, 0, None, None]) & (u[None, None] < box[:, 2, None, None]) &
               (u[None, :, None] > box[:, 1, None, None]) & (u[None, :, None] < box[:, 3, None, None]))
        return (inn & mask).sum((1, 2)) / inn.sum((1, 2)).clamp(min=1)

    def decode(self, o, s, c):
        """[B,15,h,w] -> score logits [B,n], boxes [B,n,4], points [B,n,5,2]."""
        B = len(o)
        o = o.flatten(2).transpose(1, 2)
        d = s * torch.exp(o[..., 1:5].clamp(-4, 4))
        box = torch.cat([c - d[..., :2], c + d[..., 2:]], -1)
        return o[..., 0], box, c[:, None] + s * o[..., 5:].reshape(B, -1, 5, 2)

    def loss(self, outs, b):
        tot, npos, parts = 0.0, 0.0, [0.0, 0.0, 0.0]
        ctr = 0.5 * (b["box"][..., :2] + b["box"][..., 2:])
        for (s, c), o, (lo, hi) in zip(self.level, outs, ((0, 66), (48, 1e9))):
            score, box, pts = self.decode(o, s, c)
            fit = b["good"] & (b["size"] > lo) & (b["size"] < hi)
            dist = (c[None, None] - ctr[:, :, None]).abs().amax(-1)
            near = dist < (0.25 * b["size"]).clamp(min=0.6 * s)[..., None]
            pos = fit[..., None] & near  # [B,2,n]
            inb = (c[None, None] > b["box"][:, :, None, :2]).all(-1) & (c[None, None] < b["box"][:, :, None, 2:]).all(-1)
            ignore = (((b["part"] | (b["good"] & ~fit)) [..., None] & inb) | (fit[..., None] & inb & ~pos & (dist < 0.4 * b["size"][..., None]))).any(1)
            which = torch.where(pos[:, 1], 1, 0)
            p = pos.any(1)
            tb = torch.gather(b["box"], 1, which[..., None].expand(-1, -1, 4))
            tp = torch.gather(b["pts"].flatten(2), 1, which[..., None].expand(-1, -1, 10)).view(*which.shape, 5, 2)
            sz = torch.gather(b["size"], 1, which)
            pr = torch.sigmoid(score)
            ce = F.binary_cross_entropy_with_logits(score, p.float(), reduction="none")
            foc = torch.where(p, 0.5 * (1 - pr) ** 1.5, 0.5 * pr ** 1.5) * ce * (~(ignore & ~p))
            pf = p.float()
            giou = ((1 - self.giou(box, tb)) * pf).sum()
            kp = (((pts - tp).abs().sum((-1, -2)) / sz.clamp(min=8)) * pf).sum()
            tot = tot + 4 * foc.sum() + 2 * giou + 1.0 * kp
            npos = npos + pf.sum()
            parts = [parts[0] + foc.sum(), parts[1] + giou, parts[2] + kp]
        npos = npos.clamp(min=1)
        return tot / npos, {"focal": parts[0] / npos, "giou": parts[1] / npos, "five": parts[2] / npos}

    @staticmethod
    def giou(a, b):
        area = lambda t: (t[..., 2] - t[..., 0]).clamp(min=0) * (t[..., 3] - t[..., 1]).clamp(min=0)
        i = area(torch.cat([torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])], -1))
        h = area(torch.cat([torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])], -1)).clamp(min=1e-3)
        u = (area(a) + area(b) - i).clamp(min=1e-3)
        return i / u - (h - u) / h

    @torch.no_grad()
    def evaluate(self, det, cache, n=1024, batch=128, amp=False, augment=False):
        torch.manual_seed(98)
        hit = tot = fa = 0
        size_err, five = [], []
        for _ in range(0, n, batch):
            b = self.batch(batch, cache, augment)
            with torch.autocast(self.dev.type, torch.bfloat16, enabled=amp):
                outs = det(b["x"])
            ds = [self.decode(o.float(), s, c) for o, (s, c) in zip(outs, self.level)]
            score, box, pts = (torch.cat(t, 1).cpu() for t in zip(*ds))
            b = {k: v.cpu() for k, v in b.items()}
            for i in range(batch):
                k = (score[i] > 0).nonzero()[:, 0]
                k = k[score[i][k].argsort(descending=True)]
                keep = []
                for j in k.tolist():
                    if all(self.giou(box[i, j], box[i, q]) < 0.4 for q in keep):
                        keep.append(j)
                used = set()
                for q in range(2):
                    if b["good"][i, q]:
                        tot += 1
                        for j in keep:
                            if self.giou(box[i, j], b["box"][i, q]) > 0.4:
                                hit += 1
                                used.add(j)
                                five.append(((pts[i, j] - b["pts"][i, q]).norm(dim=-1).mean() / b["size"][i, q]).item())
                                break
                for j in keep:
                    over = [float(self.giou(box[i, j], b["box"][i, q])) for q in range(2) if b["part"][i, q] or b["good"][i, q]]
                    if j not in used and not any(o > -0.2 for o in over):
                        fa += 1
        return {"recall": hit / max(tot, 1), "faces": tot, "false_alarms_per_picture": fa / n,
                "five_points_error": sum(five) / max(len(five), 1)}
