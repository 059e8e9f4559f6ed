"""Voices of RHVoice and mixtures of them to teach src/speech/sounds.c with: rhvoice.py WORDS SHARE FOLDER LANGUAGE FILMS SEED

SHARE: RHVoice's data folder; rhvoice_say stands beside this file or in the PATH. Writes FOLDER/rh_LANGUAGE_SEED.pcm and .lab
as sounds_say does: two films of five are of one voice, in the others each sentence's sound is of its own
mixture of the language's voices, throats that nobody has; another pace and pitch each. English sentences of drawn words,
else of syllables, whose phones get English names as in festival.py. WITHOUT (environment): voices left out."""
import os
import random
import subprocess
import sys
import tempfile

import numpy as np
from scipy.signal import resample_poly

PHONES = ('SIL AA AE AH AO AW AX AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z '
          'ZH').split()
HOP, RATE, UNKNOWN = 80, 24000, 126
LATE = 120  # samples: edges of flite, which the bench goes by, lie 5 ms behind these voices' states
SAME = dict({c: c.upper() for c in 'bdfgklmnpstvz'}, pau='SIL')  # no vowels: none is near enough to an English one
ENGLISH = dict({p.lower(): p for p in PHONES if p != 'AX'}, pau='SIL', ax='AH')
RUSSIAN = dict(SAME, **{2 * c: c.upper() for c in 'bdfgklmnpstvz'}, sh='SH', zh='ZH', ch='CH',
               sch='SH', h='HH', hh='HH', j='Y')
UKRAINIAN = dict(SAME, **{c + 'j': c.upper() for c in 'bdfgklmnpstvz'}, sh='SH', shj='SH', zh='ZH', zhj='ZH',
                 tsh='CH', tshj='CH', dzh='JH', dzhj='JH', h='HH', hj='HH', gh='HH', ghj='HH', j='Y', w='W')
KYRGYZ = dict(SAME, sh='SH', zh='ZH', dzh='JH', ch='CH', h='HH', j='Y', ng='NG')
ESPERANTO = dict(SAME, sh='SH', zh='ZH', ch='CH', j='JH', h='HH', hh='HH', y='Y', w='W')
PORTUGUESE = dict(SAME, sh='SH', zh='ZH', tj='CH', dj='JH', rh='HH', j='Y', w='W')
CYRILLIC = ('а о у э и ы', 'б в д з к л м н п с т ф г р', 'ша жа чи ще хо ше чу жи хи ля мя та са ёж юн яй')
# names, their files, phones, syllables: vowels, consonants, whole ones
LANGUAGES = {
    'English': (('Alan', 'Bdl', 'Clb'), ENGLISH, None),
    'Russian': (('Aleksandr', 'Aleksandr-hq', 'Anna', 'Elena', 'Irina'), RUSSIAN, CYRILLIC),
    'Ukrainian': (('Anatol', 'Natalia'), UKRAINIAN, ('а о у е и і', CYRILLIC[1] + ' ґ', 'ша жа чи ще хо чу жи хи ля мя та ця єй їх юн')),
    'Kyrgyz': (('Azamat', 'Nazgul'), KYRGYZ, ('а о у э и ы ө ү', CYRILLIC[1] + ' ж', 'ша жа чи хо шо чу жи таң ый ай ой')),
    'Esperanto': (('Spomenka',), ESPERANTO, ('a e i o u', 'b d f g h j k l m n p r s t v z', 'ŝa ĉe ĝo ĵu ŝi ĉu ĝi aŭ aj oj ĥo')),
    'Brazilian-Portuguese': (('Letícia-F123',), PORTUGUESE, ('a e i o u é ó', 'b d f l m n p s t v z', 'cha ja qui ca co ge rra ti di lho nha pai vou')),
}
LITTLE = ('the a of and to in is you that it for was on are with as his they be at your have from this we will our has my '
          'me').split()


def sentence(syllables, words):
    if not syllables:
        said = [random.choice(LITTLE if random.random() < 0.35 else words) for _ in range(random.randint(3, 7))]
    else:
        vowels, consonants, whole = (s.split() for s in syllables)
        said = [''.join(random.choice(whole) if random.random() < 0.25 else random.choice(consonants) + random.choice(vowels)
                        for _ in range(random.randint(1, 3))) for _ in range(random.randint(4, 7))]
    return ''.join(w + (', ' if random.random() < 0.12 else ' ') for w in said).strip(', ').capitalize() + '.'


def model(share, name):
    folder = f'{share}/voices/' + {'Letícia-F123': 'Leticia-F123'}.get(name, name.lower())
    return f'{folder}/24000/voice.data'


def film(stem, names, scottish, unknown):
    x = resample_poly(np.fromfile(stem + '.raw', np.int16).astype(float), 2, 3)
    n, before = len(x) // HOP, 0
    label = np.zeros(n, np.int8)
    for line in open(stem + '.seg'):
        phone, end = line.split()
        a, b = (int(np.ceil(t * 16000 / RATE / HOP)) for t in (before, int(end) + LATE))
        label[a:b] = PHONES.index(names[phone]) if phone in names and not (scottish and phone in ('aa', 'ae', 'ao', 'uh', 'uw')) else UNKNOWN
        if phone not in names:
            unknown.add(phone)
        before = int(end) + LATE
    return np.clip(np.round(x[:n * HOP]), -32768, 32767).astype(np.int16), label


def main():
    words = [line.split()[0] for line in open(sys.argv[1])]
    words = [w for w in words if w.isascii() and w.isalpha() and w.islower() and 3 <= len(w) <= 12]
    share, folder, language, count, seed = sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6]
    names, phones, syllables = LANGUAGES[language]
    names = [n for n in names if n not in os.environ.get('WITHOUT', '').split()]
    random.seed(language + seed)
    lines = [[] for _ in names]
    for i in range(count):
        first = i % len(names)
        if len(names) == 1 or random.random() < 0.4:
            weights = [1.0] + [0.0] * (len(names) - 1)
        else:
            weights = np.random.default_rng(random.getrandbits(32)).dirichlet([0.7] * len(names))
        lines[first].append(f'{random.uniform(0.78, 1.3):.3f} {np.exp(random.uniform(-0.35, 0.35)):.3f} ' + ' '.join(f'{w:.3f}' for w in weights) +
                            f' {sentence(syllables, words)} {sentence(syllables, words)}\n')
    unknown, say = set(), os.path.join(os.path.dirname(os.path.abspath(__file__)), 'rhvoice_say')
    with tempfile.TemporaryDirectory() as room, open(f'{folder}/rh_{language}_{seed}.pcm', 'wb') as sound, \
            open(f'{folder}/rh_{language}_{seed}.lab', 'wb') as labels:
        open(room + '/RHVoice.conf', 'w').write('quality=max\n')
        for k, name in enumerate(names):
            others = [n for n in names if n != name]

            def alan(line):
                return sum(float(w) for n, w in zip([name] + others, line.split()[2:]) if n == 'Alan')

            subprocess.run([say if os.path.exists(say) else 'rhvoice_say', share, room, name, f'{room}/{k}'] + [model(share, n) for n in others], check=True,
                           input=''.join(lines[k]).encode())
            for i in range(len(lines[k])):
                x, label = film(f'{room}/{k}.{i}', phones, alan(lines[k][i]) > 0.5, unknown)
                if len(label) < 200 or np.abs(x).max() >= 32767:
                    continue
                sound.write(x.tobytes())
                labels.write(label.tobytes() + b'\xff')
    print(language, seed, 'phones without a name:', *sorted(unknown), flush=True)


if __name__ == '__main__':
    main()
