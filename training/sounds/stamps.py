"""Recordings of Debian's tuxpaint-stamps-default for sounds_read: stamps.py ROOT LANGUAGE MOST FOLDER > LIST

ROOT: where the package lies (/); needs ffmpeg. The English ones have no language in their names."""
import glob
import os
import re
import subprocess
import sys

root, language, most, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
end = '_desc.ogg' if language == 'en' else f'_desc_{language}.ogg'
paths = sorted(glob.glob(f'{root}/usr/share/tuxpaint/stamps/**/*{end}', recursive=True))
done = 0
for path in paths[::max(1, len(paths) // most)]:
    if not os.path.exists(path[:-len(end)] + '.txt'):
        continue
    lines = open(path[:-len(end)] + '.txt', errors='replace').read().split('\n')
    text = lines[0] if language == 'en' else next((t.split('=', 1)[1] for t in lines if t.startswith(language + '.utf8=')), '')
    words = re.sub(r"[^\w' ]", ' ', text.replace('’', "'")).lower().split()
    if not words or re.search(r'[\d(]', text):
        continue
    raw = f'{folder}/stamp_{language}_{done}.raw'
    subprocess.run(['ffmpeg', '-v', 'error', '-y', '-i', path, '-f', 's16le', '-ac', '1', '-ar', '16000', raw], check=True)
    print(raw, *words)
    done += 1
