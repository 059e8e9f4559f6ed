"""Writes the three files from a checkpoint of train.py: python3 export.py resume.pt OUT."""
import os
import sys

import torch

import nets

for kind, state in torch.load(sys.argv[1], map_location="cpu", weights_only=True).items():
    m = nets.NETS[kind]()
    m.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    os.makedirs(sys.argv[2], exist_ok=True)
    nets.save(m, os.path.join(sys.argv[2], kind + ".safetensors"), {"origin": "training/faces"})
