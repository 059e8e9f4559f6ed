"""The embedded networks of the `wav2lip:embedded` engine.

`Audio`, the ear: 0.4 s of sound around a picture to a mouth: where the 40 points of the lips and the chin go from where
they rest, on the head seen from the front. An ear that knows the speaker (fitted at `prepare`) can take its place.

`Network.draw`, the hand. What it is told: the face to be given a mouth with its lower half hidden, two moments of the
same speaker as reference (lips at rest, lips open) with their lips marked, and the mouth that is wished for: marked in
a plane, and how its points lie from those of both moments. What it answers: how the two moments must be bent (two flow
fields), how much of each is shown where, and a little paint for what neither shows.
The picture is put together from the speaker's own pixels (`compose`); in the product that happens at the film's own
resolution (src/lipsync/wav2lip_compose.c), here at the network's.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

SIZE = 128  # side of the crop, px
SCALE = 64  # px per interocular distance
EYES = 20  # row of the line through the eyes
HIDDEN = 52  # first hidden row of the picture that gets a mouth
BANDS, COLUMNS = 80, 32  # of mel
CHANNELS = 12  # hidden face 3, rest 3 + lips 1, open 3 + lips 1, lips wished for 1
POINTS = 41  # of a mouth: outer lips 20, inner lips 20, chin
MOUTH = 2 * POINTS  # of the ear: x (to the subject's left), y (up) of every point, in a sixteenth of an interocular distance
WISH = 4 * POINTS  # of the hand: x, y from the moment at rest, x, y from the open one, of every point, in FLOW px
FLOW = 16.0  # px of the crop per unit of the flow head


class Unit(nn.Module):
    """Convolution, batch norm, (+ residual), (+ what the sound says), ReLU."""

    def __init__(self, cin, cout, k=3, s=1, pad=None, residual=False, heard=0):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, s, k // 2 if pad is None else pad, bias=False)
        self.norm = nn.BatchNorm2d(cout)
        self.residual = residual
        self.hear = nn.Linear(heard, cout) if heard else None

    def forward(self, x, e=None):
        y = self.norm(self.conv(x))
        if self.residual:
            y = y + x
        if self.hear is not None:
            y = y + self.hear(e)[:, :, None, None]
        return F.relu(y)


class Audio(nn.Module):
    """Mel window [B,1,80,32] to an embedding [B,256]; `mouth` makes points of it."""

    def __init__(self, out=256):
        super().__init__()
        self.body = nn.ModuleList(
            [
                Unit(1, 32),
                Unit(32, 64, s=2),
                Unit(64, 64, residual=True),
                Unit(64, 96, s=2),
                Unit(96, 96, residual=True),
                Unit(96, 128, s=2),
                Unit(128, 128, residual=True),
                Unit(128, 192, s=2),
                Unit(192, 192, residual=True),
                Unit(192, out, k=(5, 2), pad=0),
                Unit(out, out, k=1, pad=0),
            ]
        )
        self.mouth = nn.Linear(out, MOUTH)

    def forward(self, mel):
        x = mel
        for unit in self.body:
            x = unit(x)
        return x.flatten(1)


class Network(nn.Module):
    def __init__(self, heard=256):
        super().__init__()
        self.audio = Audio(256)
        self.wish = nn.ModuleList([nn.Linear(WISH, heard), nn.Linear(heard, heard)])
        e = [(CHANNELS, 32, 5, 2), (32, 64, 2, 2), (64, 128, 2, 2), (128, 192, 2, 2), (192, 256, 1, 1)]
        self.encoder = nn.ModuleList()
        for i, (cin, cout, _, n) in enumerate(e):
            block = [Unit(cin, cout, k=5 if i == 0 else 3, s=2)] + [Unit(cout, cout, residual=True) for _ in range(n)]
            self.encoder.append(nn.ModuleList(block))
        self.middle = Unit(256, 256, heard=heard)
        d = [(256 + 192, 192), (192 + 128, 128), (128 + 64, 64), (64 + 32, 48)]
        self.decoder = nn.ModuleList(
            nn.ModuleList([Unit(a, b, heard=heard), Unit(b, b, residual=True)]) for a, b in d
        )
        self.flow = nn.Conv2d(48, 4, 3, 1, 1)
        self.fine = Unit(48, 32)
        # Share of the open moment, paint's opacity, paint; of the four pixels of a square.
        self.look = nn.Conv2d(32, 5 * 4, 3, 1, 1)
        for head in (self.flow, self.look):
            nn.init.zeros_(head.bias)
            nn.init.normal_(head.weight, std=0.01)
        with torch.no_grad():
            self.look.bias[4:8] = -3.0

    def draw(self, face, wish):
        """flow [B,4,128,128] in px of the crop (rest x, y, open x, y), look [B,5,128,128] in [0,1]"""
        e = F.relu(self.wish[1](F.relu(self.wish[0](wish))))
        skips, x = [], face
        for block in self.encoder:
            for unit in block:
                x = unit(x)
            skips.append(x)
        x = self.middle(x, e)
        for block, skip in zip(self.decoder, skips[-2::-1]):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.cat([x, skip], 1)
            x = block[1](block[0](x, e))
        flow = F.interpolate(self.flow(x), scale_factor=2, mode="bilinear", align_corners=False) * FLOW
        return flow, torch.sigmoid(F.pixel_shuffle(self.look(self.fine(x)), 2))

    def forward(self, face, wish):
        return self.draw(face, wish)


def bend(picture, flow):
    """Sample `picture` [B,C,S,S] at every pixel's place plus flow [B,2,S,S] px. As sharp as the product does it: with
    bilinear sampling the network would be blamed for softness that is not its own."""
    b, _, h, w = picture.shape
    y, x = torch.meshgrid(
        torch.arange(h, device=flow.device, dtype=torch.float32),
        torch.arange(w, device=flow.device, dtype=torch.float32),
        indexing="ij",
    )
    gx = (x[None] + flow[:, 0].float() + 0.5) * (2 / w) - 1
    gy = (y[None] + flow[:, 1].float() + 0.5) * (2 / h) - 1
    grid = torch.stack([gx, gy], -1)
    return F.grid_sample(picture.float(), grid, mode="bicubic", padding_mode="border", align_corners=False)


def compose(rest, opened, flow, look):
    a = bend(rest, flow[:, 0:2])
    b = bend(opened, flow[:, 2:4])
    w, g, paint = look[:, 0:1].float(), look[:, 1:2].float(), look[:, 2:5].float()
    made = a + w * (b - a)
    return made + g * (paint - made)


def hide(picture):
    """Zero from row HIDDEN on."""
    out = picture.clone()
    out[:, :, HIDDEN:] = 0
    return out
