"""What a user keeps outside the repository: a method, a task and a paper, each as small as the contract lets it be."""

from pathlib import Path

METHOD = '''"""Halving: y = x / 2."""

from dataclasses import dataclass

from torch import nn

CITE = "Nobody, Journal of Examples 2020, arXiv:2000.00000"


@dataclass(frozen=True, kw_only=True)
class Params:
    factor: float = 0.5


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def norm(site, p):
    return Times(p.factor)


def reference(site, p, state, x):
    return p.factor * x
'''

TASK = """task: {name}
title: Nothing at all
headline: score
metrics: {{score: {{unit: "%", direction: higher, says: a number}}}}
datasets: {{{name}_noise: {{embedded: true, classes: 2, train: 8, pixels: 8, says: noise}}}}
models: {{net: {{family: plain_cnn, depth: 10, width: 4}}}}
recipes: {{sgd: {{steps: 100, batch_size: 4, lr: 0.1}}}}
tiers:
  tiny: {{seeds: [7], models: {{net: {{width: 1}}}}, recipes: {{sgd: {{steps: 9, lr: 0.2}}}}}}
"""

ADAPTER = """def prepare(dataset, root):
    return "hash"


def check(arm):
    return None


def run(arm, seed, context):
    return None
"""

PAPER = """key: {name}
title: A paper from outside
venue: nowhere
reviews: none
arms: {{one: {{task: {task}, dataset: {task}_noise, model: net, method: none, recipe: sgd}}}}
tables:
  - {{id: all, title: All, metric: score, columns: {{c: {{title: C}}}}, rows: {{r: {{title: R, arms: {{c: one}}}}}}}}
claims: []
"""


def write_method(folder: Path, name: str, text: str = METHOD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path


def write_task(folder: Path, name: str, task: str = TASK, adapter: str | None = ADAPTER) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "task.yaml").write_text(task.format(name=name), encoding="utf-8")
    if adapter is not None:
        (folder / name / "adapter.py").write_text(adapter, encoding="utf-8")
    return folder / name


def write_paper(folder: Path, name: str, task: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(PAPER.format(name=name, task=task) + more, encoding="utf-8")
    return path
