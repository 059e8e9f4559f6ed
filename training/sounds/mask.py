"""Teach the network of src/speech/denoise.c: mask.py SECONDS OUT.npz VOICES.npz[+VOICES.npz] FOLDER FROM.npz

What it is to say: how much of every band of every frame is the speaker, as an ideal Wiener filter knows it, which has the clean
sound. Films, rooms and noises are train.py's; FROM is one of its networks, which knows speech already. Voices of all languages
teach it: what is said does not matter."""
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import train as t

BATCH, POOL, EVERY, BANDS, dev = t.BATCH, t.POOL, t.EVERY, t.BANDS, t.dev
LEAST, FLOOR = 0.02, 1e-5  # least gain; what is 50 dB below the loudest does not matter


class Mask(t.Net):
    def __init__(self):
        super().__init__()
        self.heads = torch.nn.Conv1d(t.WIDTH, BANDS, 1)


def batch():
    """A film as it was said, with its room's echo and the microphone, and what lies over it."""
    x, y = t.spoken(t.chosen(), torch.exp(t.uniform(-0.27, 0.23)))
    x = t.accented(x, y)
    kind = torch.randint(12, (BATCH,), device=dev)  # 0 quiet; 1-5 noise; 6, 7 babble; 8, 9 music; 10, 11 echo
    loud, tail = t.power(x), t.echo(x)
    x = torch.where((kind >= 10)[:, None], t.at_ratio(x, tail, loud, t.uniform(5, 22)), x)
    x = t.filtered(x, t.smooth(7, 0.45, t.SAMPLES // 2 + 1))
    loud = t.power(x)
    lo = torch.tensor([30, 2, 5, 8, 10, 15, 25, 30, 25, 30, 12, 15.], device=dev)[kind]
    hi = torch.tensor([60, 15, 20, 25, 30, 40, 45, 55, 45, 55, 35, 40.], device=dev)[kind]
    piece = t.tunes[torch.randint(len(t.tunes), (BATCH,), device=dev)]
    shift = torch.randint(piece.shape[1], (BATCH,), device=dev)
    piece = piece.gather(1, (t.samples[None] + shift[:, None]) % piece.shape[1])
    crowd = t.babble(torch.randint(3, 7, (t.CROWDS,), device=dev))
    other = torch.where(((kind == 6) | (kind == 7))[:, None], crowd[torch.arange(BATCH, device=dev) % t.CROWDS], piece)
    noisy = torch.where(((kind >= 6) & (kind <= 9))[:, None], t.at_ratio(x, other, loud, t.uniform(3, 28)), x)
    noisy = t.at_ratio(noisy, t.coloured(), loud, lo + (hi - lo) * torch.rand(BATCH, device=dev))
    return torch.stack([noisy, x, noisy - x]), kind


def bands(logs, warps):
    return (torch.exp(logs.float()) @ t.bank(warps).transpose(1, 2)).transpose(1, 2)


def judge(o, noisy, clean, noise):
    """Loss; how far the gains are from the ideal ones; error in dB of what is audible."""
    gain = LEAST + (1 - LEAST) * torch.sigmoid(o)
    ideal = torch.sqrt(clean / (clean + noise + 1e-12)).clamp(min=LEAST)
    top = torch.quantile(clean.amax(1), 0.95, dim=1)[:, None, None] * FLOOR
    off = torch.log(gain**2 * noisy + top) - torch.log(clean + top)
    near = ((gain - ideal)**2).mean()
    return 0.25 * F.huber_loss(off, torch.zeros_like(off)) + 5 * near, near.detach(), off.detach().abs().mean() * 4.34


def voices():
    """What train.py's main() makes of its arguments."""
    raw, lab, cut, names = t.load(sys.argv[3], sys.argv[4])
    kinds = [n.split('_')[0] if n.startswith(('rms', 'kal16')) else n.rsplit('_', 1)[0] if n.startswith('rh_') else n for n in names]
    same = {k: sum(n for _, n, v in cut if kinds[v] == k) for k in set(kinds)}
    # Everybody about as often: voices teach, not sentences.
    total = np.array([min(same[kinds[v]], 200 * 120) ** 0.5 / same[kinds[v]] * n for _, n, v in cut])
    print(len(names), 'sources,', len(cut), 'films,', len(lab) / 200 / 3600, 'h', flush=True)
    t.sound, t.label = torch.from_numpy(raw).to(dev), torch.from_numpy(lab).to(dev)
    t.films, t.weight = torch.from_numpy(cut.astype(np.int64)).to(dev), torch.from_numpy(total.astype(np.float32)).to(dev)


def main():
    seconds, start, step = float(sys.argv[1]), time.time(), 0
    with t.multiprocessing.get_context('fork').Pool() as pool:
        made = pool.map(t.music, range(int(t.os.environ.get('TUNES', 96))))
    voices()
    t.tunes = torch.from_numpy(np.stack(made)).to(dev)
    net, slow, peak = Mask().to(dev), Mask().to(dev), 1.5e-3
    was = {k: torch.from_numpy(v) for k, v in np.load(sys.argv[5]).items() if k != 'seen' and not k.startswith('heads')}  # new heads
    net.load_state_dict(was, strict=False)
    slow.load_state_dict(net.state_dict())
    pairs = [(p, q) for p, q in zip(slow.state_dict().values(), net.state_dict().values()) if p.is_floating_point()]
    optimiser = torch.optim.AdamW(net.parameters(), peak, weight_decay=2e-2, fused=dev == 'cuda')
    heard = torch.zeros(3, POOL, t.FRAMES, t.FFT // 2 + 1, dtype=torch.float16, device=dev)
    room = torch.zeros(POOL, dtype=torch.long, device=dev)
    made, seen, saved = 0, [], start
    while time.time() - start < seconds:
        gone = (time.time() - start) / seconds
        for group in optimiser.param_groups:
            group['lr'] = peak * min(1, (step + 1) / 300) * max(0.005, 0.5 * (1 + np.cos(np.pi * gone)))
        with torch.no_grad():
            while made < 6 * BATCH or (step % EVERY == 0 and made < (step // EVERY + 6) * BATCH):
                x, kind = batch()
                at = torch.arange(made, made + BATCH, device=dev) % POOL
                for i in range(3):
                    heard[i, at] = t.spectra(x[i]).clamp(min=-15).half()
                room[at] = kind
                made += BATCH
            at = torch.randint(min(made, POOL), (BATCH,), device=dev)
            warps = torch.exp(0.12 * torch.randn(BATCH, 1, device=dev).clamp(-2.2, 2.2)).expand(-1, 6)
            f, level = t.features(heard[0, at].float(), warps)
            noisy, clean, noise = (bands(heard[i, at], warps) for i in range(3))
            kind = room[at]
        with torch.autocast(dev, torch.bfloat16, enabled=dev == 'cuda'):
            o = net(f, level)
        loss, near, off = judge(o.float(), noisy, clean, noise)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_([p for p, _ in pairs], [q for _, q in pairs], 1 - min(0.999, step / (step + 50)))
        if step % 100 == 0 or step == 10:
            seen.append((step, time.time() - start, loss.item(), near.item()))
            print(step, f'{time.time() - start:.0f} s loss {loss.item():.3f} gains {near.item() ** 0.5:.3f} {off.item():.2f} dB', flush=True)
        if time.time() - saved > 60:
            saved = time.time()
            np.savez(sys.argv[2], seen=np.array(seen), **{k: v.cpu().numpy() for k, v in slow.state_dict().items()})
    np.savez(sys.argv[2], seen=np.array(seen), **{k: v.cpu().numpy() for k, v in slow.state_dict().items()})
    print('steps', step, 'in', time.time() - start, 's; numbers', sum(p.numel() for p in net.parameters()))


if __name__ == '__main__':
    main()
