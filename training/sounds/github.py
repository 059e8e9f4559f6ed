"""Recordings of public repositories for sounds_read: github.py FOLDER TEXTS MOST MIRROR PATH [MIRROR PATH]... > LIST

TEXTS: lines "WHAT TEXT"; '.txt': it lies beside every recording; '-': WHAT is the word itself. MOST: how many recordings
of each speaker, evenly over all there are. MIRROR: a repository's git directory, '@' and a revision behind it if it is
not HEAD. PATH: what the whole path of a recording looks like, a regular expression whose groups `who` and `what` are the
speaker ('one' without it) and what is said ('_' may stand for the '-' of TEXTS). What somebody said in an earlier
recording is left out, but not words. Needs ffmpeg."""
import re
import subprocess
import sys

folder, texts, most = sys.argv[1], sys.argv[2], int(sys.argv[3])


def git(mirror, *args):
    return subprocess.run(['git', '-C', mirror, *args], capture_output=True, check=True).stdout


def spelled(text):
    return [w for w in (w.strip("'") for w in re.sub(r"[^a-z' ]", ' ', text.lower().replace('’', "'")).split()) if w]


told = {}
if texts not in ('.txt', '-'):
    told = dict(line.rstrip('\n').split(' ', 1) for line in open(texts) if ' ' in line)
wanted = {}
for at in range(4, len(sys.argv), 2):
    mirror, _, revision = sys.argv[at].partition('@')
    for line in git(mirror, 'ls-tree', '-r', '-l', '-z', revision or 'HEAD').decode().split('\0'):
        head, _, path = line.partition('\t')
        m = re.fullmatch(sys.argv[at + 1], path)
        if not m or head.split()[3] == 'BAD':  # listed, but its content is not there
            continue
        what = m['what'] if m['what'] in told else m['what'].replace('_', '-')
        if texts == '-':
            what += '.' + re.sub(r'\W', '', path.rsplit('/', 1)[-1])
            told[what] = m['what']
        elif texts == '.txt':
            told[what] = git(mirror, 'show', f'{revision or "HEAD"}:{path.rsplit(".", 1)[0]}.txt').decode()
        if spelled(told.get(what, '')) and not re.search(r'\d', told[what]):
            wanted.setdefault(m.groupdict().get('who', 'one'), {}).setdefault(what, (mirror, head.split()[2]))
for who, recordings in sorted(wanted.items()):
    for i in sorted({i * len(recordings) // most for i in range(most)}):
        what, (mirror, blob) = sorted(recordings.items())[i]
        raw = f'{folder}/{who}--{what}.raw'.replace(' ', '')
        if subprocess.run(['ffmpeg', '-v', 'error', '-y', '-i', '-', '-f', 's16le', '-ac', '1', '-ar', '16000', raw],
                          input=git(mirror, 'cat-file', 'blob', blob)).returncode == 0:
            print(raw, *spelled(told[what]), flush=True)
