"""More voices to teach src/speech/sounds.c with, from Debian's festival (festvox-kdlpc16k, -italp16k, -itapc16k, -czech-dita,
-czech-krb, -czech-machac, -czech-ph, -suopuhe-lj, -suopuhe-mv, -ca-ona-hts, -hi-nsk, -te-nsk, -ru, -kallpc16k): festival.py WORDS FOLDER

Writes FOLDER/NAME.pcm and .lab as sounds_say does. English sentences of drawn words from the English voice; from the
others syllables of their language, for the sake of throats: their phones are called by the English names that are near
enough, and those without one are marked 126, which train.py leaves out."""
import os
import random
import subprocess
import sys
import wave

import numpy as np
from scipy.signal import resample_poly

PHONES = ('SIL AA AE AH AO AW AX AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z '
          'ZH').split()
SAME = {'b': 'B', 'd': 'D', 'f': 'F', 'g': 'G', 'k': 'K', 'l': 'L', 'm': 'M', 'n': 'N', 'p': 'P', 's': 'S', 't': 'T',
        'v': 'V', 'z': 'Z', 'j': 'Y', 'w': 'W', 'a': 'AA', 'e': 'EH', 'i': 'IY', 'o': 'AO', 'u': 'UW', '#': 'SIL',
        '_': 'SIL', '##': 'SIL', 'pau': 'SIL'}
ITALIAN = dict(SAME, **{'i1': 'IY', 'e1': 'EH', 'E': 'EH', 'E1': 'EH', 'a1': 'AA', 'o1': 'AO', 'O': 'AO', 'O1': 'AO',
                        'u1': 'UW', 'S': 'SH', 'Z': 'ZH', 'tS': 'CH', 'dZ': 'JH', 'ng': 'NG'})
CZECH = dict(SAME, **{'a:': 'AA', 'e:': 'EH', 'i:': 'IY', 'o:': 'AO', 'u:': 'UW', 'c~': 'CH', 'dz~': 'JH', 's~': 'SH',
                      'z~': 'ZH', 'n*': 'NG', 'h': 'HH', 'ch': 'HH'})
FINNISH = dict(SAME, **{'a:': 'AA', 'e:': 'EH', 'i:': 'IY', 'o:': 'AO', 'u:': 'UW', '@': 'AE', '@:': 'AE', 'S': 'SH',
                        'h': 'HH', 'N': 'NG', 'l:': 'L', 'm:': 'M', 'n:': 'N', 's:': 'S'})
CATALAN = dict({k: v for k, v in SAME.items() if k not in 'bdg'},
               **{'ax': 'AH', 'a1': 'AA', 'e1': 'EH', 'E': 'EH', 'E1': 'EH', 'i1': 'IY', 'o1': 'AO', 'O': 'AO', 'O1': 'AO',
                  'u1': 'UW', 'S': 'SH', 'Z': 'ZH'})
ENGLISH = dict({p.lower(): p for p in PHONES if p != 'AX'},
               **{'pau': 'SIL', 'h#': 'SIL', 'brth': 'SIL', 'ax': 'AH', 'axr': 'ER', 'el': 'L', 'em': 'M', 'en': 'N',
                  'hv': 'HH', 'nx': 'N'})
HINDI = dict({p: p.upper() for p in 'aa ih iy uh uw eh ee f k g ch n p b m y l s sh dh'.split()},
             **{'a': 'AH', 'ee': 'EY', 'oo': 'AO', 'T': 'T', 'D': 'D', 'th': 'T', 'dh': 'D', 'L': 'L', 'j': 'JH', 'h': 'HH',
                'pau': 'SIL'})
RUSSIAN = dict({2 * c: c.upper() for c in 'pbtdkgfvszmnl'}, **{c: c.upper() for c in 'pbtdkgfvszmnl'},
               **{'ii': 'IY', 'uu': 'UW', 'ee': 'EH', 'oo': 'AO', 'aa': 'AA', 'a': 'AH', 'i': 'IH', 'e': 'IH', 'u': 'UH',
                  'ae': 'AH', 'ay': 'AH', 'ur': 'UH', 'sh': 'SH', 'zh': 'ZH', 'ch': 'CH', 'h': 'HH', 'hh': 'HH', 'j': 'Y',
                  'pau': 'SIL'})
SYLLABLES = {'it': ('a e i o u', 'b d f l m n p s t v r g', 'ca co cu ci ce ga go gi ge sci sce scia qua pia piu che chi ghe'),
             'cz': ('a e i o u', 'b d f l m n p s t v k g z h j', 'ša še ča če ža že ši či'),
             'fi': ('a e i o u ä aa ee ii oo uu', 'l m n p s t v k h j d', ''),
             'ru': ('а о у э и ы', 'б в д з к л м н п с т ф г р', 'ша жа чи ще хо ше чу жи хи ля мя та са'),
             'hi': (' ा ि ी ु ू े ो', 'क ग च ज त द न प ब म य ल स श ह र', 'आ ए'),
             'te': (' ా ి ీ ు ూ ె ో', 'క గ చ జ త ద న ప బ మ య ల స శ హ ర', 'ఆ ఏ'),
             'ca': ('a e i o u', 'f l m n p s t', 'xa xe ca co cu za ze ja je va')}
VOICES = [('ked_diphone', 'en', ENGLISH, 110), ('kal_diphone', 'en', ENGLISH, 16), ('lp_diphone', 'it', ITALIAN, 18),
          ('pc_diphone', 'it', ITALIAN, 12), ('czech_dita', 'cz', CZECH, 14), ('czech_krb', 'cz', CZECH, 12),
          ('czech_machac', 'cz', CZECH, 10), ('czech_ph', 'cz', CZECH, 10), ('suo_fi_lj_diphone', 'fi', FINNISH, 14),
          ('hy_fi_mv_diphone', 'fi', FINNISH, 10), ('upc_ca_ona_hts', 'ca', CATALAN, 14),
          ('msu_ru_nsh_clunits', 'ru', RUSSIAN, 24), ('hindi_NSK_diphone', 'hi', HINDI, 12),
          ('telugu_NSK_diphone', 'te', HINDI, 8)]
CODING = {'cz': 'iso-8859-2', 'ru': 'utf-8', 'hi': 'utf-8', 'te': 'utf-8'}
LITTLE = ('the a of and to in is you that it for was on are with as his they be at your have from this we will our has my '
          'me').split()
HOP, UNKNOWN = 80, 126


def sentence(language, words):
    if language == 'en':
        said = [random.choice(LITTLE if random.random() < 0.35 else words) for _ in range(random.randint(3, 7))]
    else:
        vowels, consonants, whole = (s.split() for s in SYLLABLES[language])
        plain = language in ('it', 'cz', 'fi', 'ca')
        said = []
        for _ in range(random.randint(4, 7)):
            said.append(''.join(random.choice(whole) if whole and random.random() < 0.25 else
                                random.choice(consonants) + random.choice(vowels) for _ in range(random.randint(1, 3))) +
                        (random.choice('nls') if plain and random.random() < 0.3 else ''))
    return ' '.join(said).capitalize() + '.'


def film(stem, names):
    with wave.open(stem + '.wav') as w:
        rate, x = w.getframerate(), np.frombuffer(w.readframes(w.getnframes()), np.int16).astype(float)
    if rate != 16000:
        x = resample_poly(x, 16000 // np.gcd(16000, rate), rate // np.gcd(16000, rate))
    n = len(x) // HOP
    label, before = np.zeros(n, np.int8), 0.0
    for line in open(stem + '.seg', encoding='latin-1'):
        part = line.split()
        if len(part) != 3:
            continue
        phone = names.get(part[2])
        a, b = (int(np.ceil(t * 16000 / HOP)) for t in (before, float(part[0])))
        label[a:b] = UNKNOWN if phone is None else PHONES.index(phone)
        before = float(part[0])
    return np.clip(np.round(x[:n * HOP]), -32768, 32767).astype(np.int16), label


words = [line.split()[0] for line in open(sys.argv[1])]
words = [w for w in words if w.isascii() and w.isalpha() and w.islower() and 3 <= len(w) <= 12]
folder = sys.argv[2]
for name, language, names, count in VOICES:
    random.seed(name)
    script = f'(voice_{name})\n'
    for i in range(count):
        if language == 'en':
            script += (f"(set! int_lr_params '((target_f0_mean {random.uniform(80, 190):.0f}) (target_f0_std "
                       f"{random.uniform(8, 26):.0f}) (model_f0_mean 170) (model_f0_std 34)))\n")
        script += (f"(Parameter.set 'Duration_Stretch {random.uniform(0.85, 1.25):.3f})\n"
                   f'(set! u (utt.synth (Utterance Text "{sentence(language, words)}")))\n'
                   f'(utt.save.wave u "{folder}/{i}.wav" \'riff)\n(utt.save.segs u "{folder}/{i}.seg")\n')
    open(f'{folder}/say.scm', 'wb').write(script.encode(CODING.get(language, 'latin-1')))
    subprocess.run(['festival', '-b', f'{folder}/say.scm'], check=True, stderr=subprocess.DEVNULL)
    with open(f'{folder}/{name}.pcm', 'wb') as sound, open(f'{folder}/{name}.lab', 'wb') as labels:
        for i in range(count):
            x, label = film(f'{folder}/{i}', names)
            sound.write(x.tobytes())
            labels.write(label.tobytes() + b'\xff')
            for end in ('.wav', '.seg'):
                os.remove(f'{folder}/{i}{end}')
    os.remove(f'{folder}/say.scm')
    print(name, flush=True)
