"""What `fairseq-train --user-dir tasks/wmt/normbench_fairseq` adds to fairseq:

    --arch normbench_transformer   fairseq's transformer with a method's norms, joins, biases, weights and activations (model.py)
    --task normbench_translation   translation whose training calibrates, clips and is watched (task.py)
    --optimizer normbench_adam     fairseq's Adam with the method's learning rates and weight decays (optimizer.py)

fairseq imports this folder under its own name, once.
"""

import argparse

import torch

# fairseq keeps its settings in checkpoints as a Namespace, which torch.load refuses unless it is told that this is only a bag of values.
torch.serialization.add_safe_globals([argparse.Namespace])

from . import model, optimizer, task  # noqa: E402

__all__ = ["model", "optimizer", "task"]
