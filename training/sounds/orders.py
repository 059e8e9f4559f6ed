"""Recordings of github.com/Picovoice/speech-to-intent-benchmark (Apache-2.0) with what was found in each: orders.py MIRROR FOLDER FROM TO

Only what was asked for is known of each ("slots"), not the words around it: pocketsphinx looks for a sentence of the
benchmark's own form; sentences that name exactly those things are the LIST (standard output)."""
import json
import re
import subprocess
import sys

mirror, folder, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def git(*args):
    return subprocess.run(['git', '-C', mirror, *args], capture_output=True, check=True).stdout


labels = json.loads(git('show', 'HEAD:data/label/label.json'))
things = {}
for of in labels.values():
    for kind, text in of['slots'].items():
        things.setdefault(kind, set()).add(' '.join(text.lower().split()))
rules = '\n'.join(f'<{k}> = ' + ' | '.join(sorted(v)) + ';' for k, v in things.items())
before = ' | '.join(f'<{k}>' for k in ('size', 'roast', 'numberOfShots') if k in things)
after = ' | '.join(f'<{k}>' for k in ('milkAmount', 'sugarAmount') if k in things)
open(f'{folder}/order.jsgf', 'w').write(f"""#JSGF V1.0;
grammar order;
public <order> = [<start>] [a | an] [<b>] [<b>] [<b>] <coffeeDrink> [with <m> [and <m>]] [please];
<start> = brew | can i get | can i have | i want | get me | give me | i'd like | make me | may i have | i would like | could i get | could i have;
<b> = {before};
<m> = {after};
{rules}
""")
names = sorted(labels)
blobs = {line.split('\t')[1].split('/')[-1]: line.split()[2] for line in git('ls-tree', '-r', 'HEAD', 'data/speech/clean').decode().splitlines()}
names = [n for n in names if n in blobs][first:last]
with open(f'{folder}/ctl', 'w') as ctl:
    for name in names:
        subprocess.run(['ffmpeg', '-v', 'error', '-y', '-i', '-', '-f', 's16le', '-ac', '1', '-ar', '16000', f'{folder}/order--{name[:8]}.raw'],
                       input=git('cat-file', 'blob', blobs[name]))
        ctl.write(f'order--{name[:8]}\n')
model = '/usr/share/pocketsphinx/model/en-us'
subprocess.run(['pocketsphinx_batch', '-hmm', model + '/en-us', '-dict', model + '/cmudict-en-us.dict', '-jsgf', f'{folder}/order.jsgf',
                '-ctl', f'{folder}/ctl', '-cepdir', folder, '-cepext', '.raw', '-adcin', 'yes', '-hyp', f'{folder}/hyp', '-logfn', f'{folder}/log',
                '-remove_silence', 'no'], check=True)
found = dict(re.match(r'(.*) \((\S+) .*\)', line).groups()[::-1] for line in open(f'{folder}/hyp') if ' (' in line)
kept = 0
for name in names:
    text = found.get(f'order--{name[:8]}', '')
    wanted = sorted(' '.join(t.lower().split()) for t in labels[name]['slots'].values())
    rest = text
    for t in sorted(wanted, key=len, reverse=True):
        rest = rest.replace(t, '#', 1)
    good = rest.count('#') == len(wanted) and not any(re.search(rf'\b{t}\b', rest) for k in things for t in things[k])
    kept += good
    if good:
        print(f'{folder}/order--{name[:8]}.raw', text)
    else:
        print('not', name[:8], wanted, '|', text, file=sys.stderr)
print(kept, 'of', len(names), file=sys.stderr)
