"""SVOX pico's voices for sounds_read: pico.py WORDS FOLDER LANGUAGE FILMS > LIST (needs pico2wave of libttspico-utils)

Two sentences of drawn words at another pitch and pace each, in English; in German, Spanish, French and Italian nonsense
words of syllables that these languages have and say alike."""
import random
import subprocess
import sys
import wave

import numpy as np

LITTLE = ('the a of and to in is you that it for was on are with as his they be at your have from this we will our has my '
          'me').split()
words = [line.split()[0] for line in open(sys.argv[1])]
words = [w for w in words if w.isascii() and w.isalpha() and w.islower() and 3 <= len(w) <= 12]
folder, language, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
random.seed(language)


def word():
    if language.startswith('en'):
        return random.choice(LITTLE if random.random() < 0.35 else words)
    return ''.join(random.choice('bdfklmnpst') + random.choice('aio') for _ in range(random.randint(2, 3)))


for i in range(count):
    text = ' '.join(''.join(word() + (', ' if random.random() < 0.12 else ' ') for _ in range(random.randint(3, 7))).strip(', ') + '.'
                    for _ in range(2))
    stem = f'{folder}/pico_{language}_{i}'
    subprocess.run(['pico2wave', '-l', language, '-w', stem + '.wav',
                    f'<pitch level="{random.uniform(70, 140):.0f}"><speed level="{random.uniform(75, 130):.0f}">{text}</speed></pitch>'],
                   check=True)
    with wave.open(stem + '.wav') as w:
        np.frombuffer(w.readframes(w.getnframes()), np.int16).tofile(stem + '.raw')
    print(stem + '.raw', text.replace(',', '').replace('.', ''))
