"""The blocks of layers.h in PyTorch, for tensor_torch.py and tensor_cpu_torch.py."""
import torch
import torch.nn.functional as F


class Resnet(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        self.n1, self.n2 = torch.nn.GroupNorm(32, c, 1e-6), torch.nn.GroupNorm(32, c, 1e-6)
        self.c1, self.c2 = torch.nn.Conv2d(c, c, 3, 1, 1), torch.nn.Conv2d(c, c, 3, 1, 1)

    def forward(self, x):
        return x + self.c2(F.silu(self.n2(self.c1(F.silu(self.n1(x))))))


class Transformer(torch.nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        lin = torch.nn.Linear
        self.heads = heads
        self.n = torch.nn.ModuleList(torch.nn.LayerNorm(c) for _ in range(3))
        self.p = torch.nn.ModuleList(torch.nn.ModuleList([lin(c, c), lin(k, c), lin(k, c), lin(c, c)]) for k in (c, 384))
        self.up, self.down = lin(c, 8 * c), lin(4 * c, c)

    def forward(self, x, tokens):
        for i in range(2):
            y = self.n[i](x)
            src = tokens if i else y
            q, k, v = (m(s).unflatten(-1, (self.heads, -1)).transpose(1, 2) for m, s in zip(self.p[i][:3], (y, src, src)))
            x = x + self.p[i][3](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        a, g = self.up(self.n[2](x)).chunk(2, -1)
        return x + self.down(a * F.gelu(g))
