"""What fits of what sounds_read wrote, cut and told apart by speaker: choose.py OUT [NAME LOG STEM LEAST MINUTES PIECE MOST]...

LOG, STEM: what sounds_read printed, its .pcm and .lab; several with '+'. A recording counts when its score is at least
LEAST, no phone of it lasts longer than half a second, and it is more speech than pauses, which have less than 5 % of
its energy; all but 0.2 s of the pauses at its ends is cut away, its peak brought to 0.6. NAME goes before the speaker
(what the raw files are called before '--'). MINUTES are taken, turn by turn from all speakers, at most MOST of one, by
chance: the best would be those whom the network knows already; what is longer than MOST ends with the pause after that.
PIECE: minutes after which a speaker who is nobody in particular (all of a crowd, say) becomes another voice, in the
order of the files; 0: never. Speakers with less than 6 s make voices of 12 s together, `various`. Writes
OUT/NAME_SPEAKER.pcm and .lab."""
import os
import re
import sys

import numpy as np

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
for at in range(2, len(sys.argv), 7):
    name, log, stem, least, minutes, piece, most = sys.argv[at:at + 7]
    least, minutes, piece, most = map(float, (least, minutes, piece, most))
    recordings, heard, total = {}, 0, 0.0
    for log, stem in zip(log.split('+'), stem.split('+')):
        if not os.path.exists(log) or not os.path.getsize(stem + '.pcm'):
            continue
        pcm, lab = np.memmap(stem + '.pcm', np.int16, 'r'), np.fromfile(stem + '.lab', np.int8)
        lab, start = lab[lab != -1], 0
        for row in open(log, errors='replace'):
            m = re.match(r'(taken|left out) (-?[\d.]+) (\S+/(\S+?)--\S+): ', row)
            if not m:
                continue
            n = os.path.getsize(m[3]) // 160
            heard += 1
            total += n / 12000
            if m[1] != 'taken':
                continue
            y, a = lab[start:start + n], start
            start += n
            if len(y) < n or (start * 80 > len(pcm)):
                break
            said = np.flatnonzero(y != 0)
            if float(m[2]) < least or not len(said):
                continue
            lo, hi = max(0, said[0] - 40), min(n, said[-1] + 41)
            after = np.flatnonzero(y[lo + int(most * 12000):hi] == 0)
            if len(after) and after[0] + most * 12000 + 40 < hi - lo:
                hi = lo + int(most * 12000) + after[0] + 5
            y = y[lo:hi]
            runs = np.diff(np.r_[0, np.flatnonzero(np.diff(y)) + 1, len(y)])
            first = np.r_[0, np.flatnonzero(np.diff(y)) + 1]
            x = pcm[(a + lo) * 80:(a + hi) * 80]
            power = (x.astype(np.float64).reshape(-1, 80) ** 2).sum(1)
            if (runs[y[first] != 0] > 100).any() or (y != 0).mean() < 0.5 or power[y == 0].sum() >= 0.05 * power.sum():
                continue
            recordings.setdefault(m[4], []).append((float(m[2]), m[3], x, y))
    speakers = {}
    for who, rows in recordings.items():
        if piece:
            rows, whole = sorted(rows, key=lambda r: r[1]), 0
            for r in rows:
                speakers.setdefault(f'{who}{int(whole / 12000 / piece):02d}', []).append(r)
                whole += len(r[3])
        else:
            speakers[who] = rows
    taken, frames = {}, 0
    for rows in speakers.values():
        rows[:] = [rows[i] for i in np.random.default_rng(7).permutation(len(rows))]
    turn = 0
    while frames < minutes * 12000 and any(len(rows) > turn for rows in speakers.values()):
        for who, rows in speakers.items():
            if turn < len(rows) and sum(len(r[3]) for r in taken.get(who, [])) < most * 12000 and frames < minutes * 12000:
                taken.setdefault(who, []).append(rows[turn])
                frames += len(rows[turn][3])
        turn += 1
    kept, worst = 0, 0.0
    short = [who for who, rows in taken.items() if sum(len(r[3]) for r in rows) < 1200]
    together = [[]]
    for rows in map(taken.pop, short):
        if sum(len(r[3]) for r in together[-1]) >= 2400:
            together.append([])
        together[-1] += rows
    if len(together) > 1 and sum(len(r[3]) for r in together[-1]) < 1200:
        together[-2] += together.pop()
    taken |= {f'various{i:02d}': rows for i, rows in enumerate(together) if sum(len(r[3]) for r in rows) >= 1200}
    for who, rows in taken.items():
        with open(f'{out}/{name}_{who}.pcm', 'wb') as p, open(f'{out}/{name}_{who}.lab', 'wb') as t:
            film = 0
            for score, _, x, y in rows:
                x = x.astype(np.float32)
                p.write((x * (0.6 * 32767 / max(1.0, np.abs(x).max()))).astype('<i2').tobytes())
                t.write(y.tobytes())
                film += len(y)
                kept += len(y)
                worst = min(worst, score)
                if film >= 1600:
                    t.write(b'\xff')
                    film = 0
            if film:
                t.write(b'\xff')
    people = len(taken) + len(short) - sum(who.startswith('various') for who in taken)
    good = sum(len(r[3]) for rows in speakers.values() for r in rows) / 12000
    print(f'{name}: {heard} recordings, {total:.1f} min; fit {sum(map(len, speakers.values()))}, {good:.1f} min of speech; '
          f'taken {kept / 12000:.1f} min of {len(taken)} voices, {people} speakers, down to {worst:.2f}')
