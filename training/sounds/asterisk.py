"""Recordings of Debian's asterisk-core-sounds-LANGUAGE-g722 for sounds_read: asterisk.py ROOT LANGUAGE FOLDER > LIST

ROOT: where the packages lie (/); needs ffmpeg. Numbers are spelled in English only; elsewhere such lines are left out."""
import glob
import gzip
import os
import re
import subprocess
import sys

ONES = ('zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen '
        'eighteen nineteen').split()
TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split()


def number(n):
    return ONES[n] if n < 20 else TENS[n // 10 - 2] + (' ' + ONES[n % 10] if n % 10 else '') if n < 100 else ' '.join(ONES[int(c)] for c in str(n))


root, language, folder = sys.argv[1:4]
sounds = glob.glob(f'{root}/usr/share/asterisk/sounds/{language}_*')[0]
for line in gzip.open(f'{root}/usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz', 'rt', errors='replace'):
    name, _, text = line.partition(':')
    path = f'{sounds}/{name.strip()}.g722'
    if not os.path.exists(path) or re.search(r'[\[\]<>(]', text):
        continue
    if language == 'en':
        text = re.sub(r'\d+', lambda m: ' ' + number(int(m[0])) + ' ', text.replace('#', ' pound ').replace('*', ' star '))
        text = re.sub(r'\b[A-Z]{2,4}\b', lambda m: ' '.join(m[0]), text)
    elif re.search(r'[\d#*]', text):
        continue
    words = re.sub(r"[^\w' ]", ' ', text.replace('’', "'")).lower().split()
    if not words or name.split('/')[0] in ('letters', 'silence'):
        continue
    raw = f'{folder}/{language}_' + name.strip().replace('/', '_') + '.raw'
    subprocess.run(['ffmpeg', '-v', 'error', '-y', '-f', 'g722', '-i', path, '-f', 's16le', '-ar', '16000', raw], check=True)
    print(raw, *words)
