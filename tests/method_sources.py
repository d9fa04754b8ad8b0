"""Three right methods as files hold them, which tests make wrong in one place."""

LAYER_NORM = '''
    """Layer normalization: y = weight (x - mean) / sqrt(var + eps) + bias, over all but the samples."""

    from dataclasses import dataclass

    import torch
    from torch import nn

    CITE = "Ba, Kiros and Hinton, 2016, arXiv:1607.06450"


    @dataclass(frozen=True, kw_only=True)
    class Params:
        eps: float = 1e-5
        centered: bool = True


    class Norm(nn.Module):
        def __init__(self, site, p):
            super().__init__()
            self.shape, self.eps, self.centered, self.tokens = site.shape, p.eps, p.centered, site.layout == "NLC"
            self.weight = nn.Parameter(torch.ones(site.features))
            self.bias = nn.Parameter(torch.zeros(site.features))

        def forward(self, x):
            dims = (-1,) if self.tokens else tuple(range(1, x.ndim))
            if self.centered:
                x = x - x.mean(dims, keepdim=True)
            x = x * (x.square().mean(dims, keepdim=True) + self.eps).rsqrt()
            return x * self.weight.reshape(self.shape) + self.bias.reshape(self.shape)


    def norm(site, p):
        return Norm(site, p)


    def groups(model, sites, p):
        return [{"params": [s.module.bias for s in sites if s.site.kind == "norm"], "weight_decay": 0.0}]


    def reference(site, p, state, x):
        out = torch.empty_like(x)
        tokens = site.layout == "NLC"
        for part, to in zip(x.flatten(0, -2) if tokens else x, out.view(-1, x.shape[-1]) if tokens else out):
            mean = part.sum() / part.numel() if p.centered else 0.0
            to[...] = (part - mean) / ((part - mean).square().sum() / part.numel() + p.eps).sqrt()
        return out * state["weight"].reshape(site.shape) + state["bias"].reshape(site.shape)
'''

BATCH_NORM = '''
    """Batch normalization: y = weight (x - mean) / sqrt(var + eps) + bias, per channel."""

    from dataclasses import dataclass

    import torch
    from torch import nn

    CITE = "Ioffe and Szegedy, ICML 2015, arXiv:1502.03167"


    @dataclass(frozen=True, kw_only=True)
    class Params:
        eps: float = 1e-5
        momentum: float = 0.1


    class Norm(nn.Module):
        def __init__(self, site, p):
            super().__init__()
            self.shape, self.dims, self.p = site.shape, site.reduce_dims, p
            self.weight = nn.Parameter(torch.ones(site.features))
            self.bias = nn.Parameter(torch.zeros(site.features))
            self.register_buffer("running_mean", torch.zeros(site.features))
            self.register_buffer("running_var", torch.ones(site.features))

        def forward(self, x):
            mean, var = self.running_mean, self.running_var
            if self.training:
                mean = x.mean(self.dims)
                var = (x - mean.reshape(self.shape)).square().mean(self.dims)
                n = x.numel() / self.weight.numel()
                with torch.no_grad():
                    self.running_mean.lerp_(mean.to(self.running_mean), self.p.momentum)
                    self.running_var.lerp_((var * (n / (n - 1))).to(self.running_var), self.p.momentum)
            scale = self.weight * (var + self.p.eps).rsqrt()
            return (x - mean.reshape(self.shape)) * scale.reshape(self.shape) + self.bias.reshape(self.shape)


    def norm(site, p):
        return Norm(site, p)


    def reference(site, p, state, x):
        rows = x.movedim(site.channel_dim, 0).reshape(site.features, -1)
        mean = rows.sum(1) / rows.shape[1]
        var = (rows - mean[:, None]).square().sum(1) / rows.shape[1]
        per_channel = [v.reshape(site.shape) for v in (mean, var, state["weight"], state["bias"])]
        mean, var, weight, bias = per_channel
        return (x - mean) / (var + p.eps).sqrt() * weight + bias
'''

RESIDUAL = '''
    """Centered weights, a gain on the branch, a bias, a shifted ReLU: w = gain (v - mean), y = skip + gain branch."""

    from dataclasses import dataclass
    from typing import Literal

    import torch
    from torch import nn
    from torch.nn.utils import parametrize

    CITE = "De and Smith, NeurIPS 2020, arXiv:2002.10444"
    VARIANTS = [{"alpha": 0.25, "act": "shifted"}]


    @dataclass(frozen=True, kw_only=True)
    class Params:
        alpha: float = 0.5
        act: Literal["relu", "shifted"] = "relu"

        def __post_init__(self):
            if not self.alpha:
                raise ValueError(f"alpha must not be 0, got {self.alpha}")


    class Join(nn.Module):
        def __init__(self, alpha):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(alpha))

        def forward(self, skip, branch):
            return skip + self.gain * branch


    class Centered(nn.Module):
        def __init__(self, features):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(features))

        def forward(self, v):
            centered = v - v.flatten(1).mean(1).reshape(-1, *[1] * (v.ndim - 1))
            return self.gain.reshape(-1, *[1] * (v.ndim - 1)) * centered


    class Bias(nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(shape))

        def forward(self, x):
            return x + self.bias


    class Shifted(nn.Module):
        def forward(self, x):
            return x.relu() - 0.4


    def join(site, p):
        return Join(p.alpha / site.depth)


    def weight(site, p, layer):
        parametrize.register_parametrization(layer, "weight", Centered(site.features))
        return layer


    def bias(site, p):
        return Bias(site.shape)


    def activation(site, p, act):
        return Shifted() if p.act == "shifted" else None


    def clip(model, sites, p):
        for parameter in model.parameters():
            parameter.grad *= 0.5


    def calibrate(model, sites, p, batches):
        with torch.no_grad():
            model(batches[0])


    def refuse(site, p):
        return "a network of version 1 activates after the join" if site.version == 1 else None


    def reference(site, p, state, *tensors):
        if site.kind == "join":
            skip, branch = tensors
            return skip + state["gain"] * branch
        (x,) = tensors
        if site.kind == "weight":
            rows = [w - w.sum() / w.numel() for w in x]
            return torch.stack(rows) * state["parametrizations.weight.0.gain"].reshape(-1, *[1] * (x.ndim - 1))
        if site.kind == "bias":
            return x + state["bias"]
        return torch.where(x > 0, x, 0.0) - 0.4
'''
