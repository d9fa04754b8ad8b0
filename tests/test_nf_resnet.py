"""NF-ResNet: predicted variances and adaptive gradient clipping."""

import pytest
import torch
from residual_nets import normal, small

from normbench.hooks.methods import load_method
from normbench.models import resnet


def test_nf_resnet_betas_follow_the_variance_and_reset_behind_transitions():
    model = small("nf_resnet", layers=(2, 3, 2), params={"alpha": 0.5})
    betas = [p.module.beta.item() ** 2 for p in model.sites if p.site.kind == "norm" and p.changed]
    assert betas == pytest.approx([1, 1.25, 1.5, 1.25, 1.5, 1.75, 1.25], rel=1e-6)
    places = {(p.site.role, p.site.position) for p in model.sites if p.site.kind == "norm" and p.changed}
    assert places == {("branch", 0)}


def test_nf_resnet_keeps_the_predicted_variance():
    torch.manual_seed(0)
    method = load_method("nf_resnet")
    p = method.params(skip_gain=1.0, alpha=0.5)
    model = resnet(layers=[3, 3], block="basic", stem="cifar", width=128, num_classes=3, version=2, method=method, params=p)
    seen = []
    for placed in model.sites:
        if placed.site.kind == "norm" and placed.changed:
            placed.module.register_forward_hook(lambda m, i, out: seen.append(out.var().item()))
    model(torch.randn(8, 3, 16, 16))
    # x / beta has variance 1; the borders' zero padding takes a little from each convolution
    assert len(seen) == 6
    assert all(0.75 < var < 1.25 for var in seen), seen


def test_adaptive_gradient_clipping_by_hand():
    model = small("nf_resnet")
    parameters = dict(model.named_parameters())
    for i, p in enumerate(parameters.values()):
        p.grad = normal(*p.shape, seed=i) * (1e-4 if i % 2 else 1.0)
    before = {name: p.grad.clone() for name, p in parameters.items()}
    model.method.clip(model, model.sites, model.method_params)
    clipped = 0
    for name, p in parameters.items():
        grad = before[name]
        if name not in ("fc.weight", "fc.bias"):
            whole = p.ndim < 2 or max(p.shape[1:]) == 1
            rows = [()] if whole else [(i,) for i in range(p.shape[0])]
            grad = grad.clone()
            for row in rows:
                limit = 0.01 * max(p.detach()[row].pow(2).sum().sqrt().item(), 1e-3)
                size = grad[row].pow(2).sum().sqrt().item()
                if size > limit:
                    grad[row] = grad[row] * (limit / size)
                    clipped += 1
        torch.testing.assert_close(p.grad, grad, rtol=1e-10, atol=0, msg=name)
    assert clipped > 20


def test_without_clipping_gradients_stay():
    model = small("nf_resnet", params={"clipping": None})
    model(normal(2, 3, 8, 8)).sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    model.method.clip(model, model.sites, model.method_params)
    assert all(torch.equal(p.grad, b) for p, b in zip(model.parameters(), before, strict=True))
