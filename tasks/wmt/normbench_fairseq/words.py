"""Statistics over tokens: which tokens of a padded batch are words, and what a method's module takes its statistics over.

Shapes: a stack's tensors are (T, B, C), those of its embeddings (B, T, C); masks are (B, T), True at padding.
"""

import copy

import torch
from torch import Tensor, nn


class Words:
    """Where the words of a stack's batch are; what is wrapped in `OverWords` asks here."""

    def __init__(self):
        self.asked = False  # looking for padding makes a GPU wait, and most methods need not know
        self._mask: Tensor | None = None

    def note(self, padding: Tensor | None) -> None:
        """padding: the mask of the batch that comes next, None where all are words."""
        if self.asked:
            self._mask = None if padding is None or not bool(padding.any()) else padding

    def places(self, batch_first: bool) -> Tensor | None:
        """The numbers of the words among the flattened tokens, or None where all are words."""
        if self._mask is None:
            return None
        words = ~(self._mask if batch_first else self._mask.t())
        return words.reshape(-1).nonzero().squeeze(1)


class OverWords(nn.Module):
    """`module` on the words of a batch alone, as one sequence (1, words, C); padding becomes 0, which no attention reads."""

    def __init__(self, module: nn.Module, words: Words, batch_first: bool = False):
        super().__init__()
        self.module, self.batch_first = module, batch_first
        self._words, words.asked = words, True

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        places = self._words.places(self.batch_first)
        if places is None:
            return self.module(flat.unsqueeze(0)).view(x.shape)
        out = self.module(flat[places].unsqueeze(0)).squeeze(0)
        return out.new_zeros(flat.shape).index_copy(0, places, out).view(x.shape)


@torch.no_grad()
def reach(module: nn.Module, features: int) -> str:
    """What one token's output depends on in training: "token" (itself alone), "sentence" (others of its sentence) or "batch".

    Asked of a copy of the module, on random tokens (2, 3, features).
    """
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 2, 3, features, generator=generator, dtype=torch.float64)
    other_sentence, other_tokens = first.clone(), first.clone()
    other_sentence[1] = second[1]
    other_tokens[0, 1:] = second[0, 1:]
    here, there, around = (copy.deepcopy(module).double().train()(x)[0, 0] for x in (first, other_sentence, other_tokens))
    if not torch.equal(here, there):
        return "batch"
    return "token" if torch.equal(here, around) else "sentence"
