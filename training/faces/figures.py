"""Figures of finished files on held-out people: figures.py MODELS HELD [OUT.json]."""
import json
import os
import sys
import threading
import time

import torch

import augment
import data
import nets
import tasks
import train


def main(models, held, out=None):
    dev = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cache, stop = data.Cache(4096, dev), threading.Event()
    count = len([f for f in os.listdir(held) if f.endswith(".safetensors")])
    cache.follow(held, stop, False)
    seen = -1
    while cache.seen != seen or seen == 0:  # until no more arrives
        seen = cache.seen
        time.sleep(3)
    stop.set()
    cut, aug = data.Cutter(dev), augment.Augment(dev)
    net = {k: nets.load(k, os.path.join(models, k + ".safetensors")).to(dev) for k in nets.NETS}
    f = tasks.Landmarks(cache, cut, aug).evaluate(net["face_landmarks"], net["face_parts"], cache, train.ATTRIBUTES, 64)
    f["detector"] = tasks.Detection(cache, cut, aug).evaluate(net["face_detector"], cache, 512, 64)
    print(count, "files,", cache.n, "pictures;", json.dumps(f["detector"]))
    for k, v in f.items():
        if "face" in v:
            print("%-10s n %5d " % (k, v["n"]) + " ".join("%s %.2f" % (n, v[n]) for n in ("face", "inner_lips", "lids", "irises", "gap_error", "degrees")))
    print("IoU " + " ".join("%.2f" % v for v in f["all"]["iou"]), "gap r %.3f" % f["all"]["gap_correlation"])
    if out:
        json.dump(f, open(out, "w"), indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
