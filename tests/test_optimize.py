"""Parameter groups: what decays, what the method wishes, what the schedule moves; and one step of SGD by hand."""

import pytest
import torch
from facts import mistake
from trainings import batch, recipe, small_net, small_resnet

from normbench.training.optimizer import make_optimizer, set_lr


def group_of(optimizer, parameter) -> dict:
    (found,) = [g for g in optimizer.param_groups if any(p is parameter for p in g["params"])]
    return found


def decays(model, **fields) -> dict[str, float]:
    optimizer = make_optimizer(model, recipe(weight_decay=0.25, **fields))
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))
    return {name: group_of(optimizer, p)["weight_decay"] for name, p in model.named_parameters()}


def test_all_decays_everything():
    assert set(decays(small_net(), decay="all").values()) == {0.25}


def test_weights_decays_what_has_two_dimensions_or_more():
    found = decays(small_net(), decay="weights")
    assert found["body.conv1.weight"] == found["fc.weight"] == 0.25
    assert found["body.norm1.weight"] == found["body.norm1.bias"] == found["fc.bias"] == 0.0


def test_head_decays_the_last_layer_alone():
    found = decays(small_net(), decay="head")
    assert {name for name, decay in found.items() if decay} == {"fc.weight", "fc.bias"}


def test_what_the_method_wishes_wins_over_the_recipe():
    model = small_resnet("fixup")
    wished = model.method.groups(model, model.sites, model.method_params)
    optimizer = make_optimizer(model, recipe(weight_decay=0.25, decay="all"))
    told = {id(p): group for group in wished for p in group["params"]}
    assert told, "Fixup asks for another rate"
    for parameter in model.parameters():
        group, wish = group_of(optimizer, parameter), told.get(id(parameter), {})
        assert group["lr_scale"] == wish.get("lr_scale", 1.0)
        assert group["weight_decay"] == (0.25 if wish.get("weight_decay") is None else wish["weight_decay"])
    assert {g["lr_scale"] for g in optimizer.param_groups} == {1.0, 0.1}


def test_a_rate_reaches_every_group_times_its_scale_but_not_what_is_controlled():
    model = small_resnet("fixup")
    kernels = {id(p) for p in model.parameters() if p.ndim > 2}
    optimizer = make_optimizer(model, recipe(), kernels)
    set_lr(optimizer, lr=0.02, peak=0.5)
    for parameter in model.parameters():
        group = group_of(optimizer, parameter)
        assert group["scheduled"] == (id(parameter) not in kernels)
        assert group["lr"] == pytest.approx((0.5 if id(parameter) in kernels else 0.02) * group["lr_scale"])


def test_a_frozen_parameter_is_in_no_group():
    model = small_net()
    model.fc.bias.requires_grad_(False)
    optimizer = make_optimizer(model, recipe())
    assert not any(p is model.fc.bias for g in optimizer.param_groups for p in g["params"])


def test_two_steps_of_sgd_by_hand():
    model = small_net().double()
    made = recipe(lr=0.3, momentum=0.5, weight_decay=0.25, decay="weights")
    optimizer = make_optimizer(model, made)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    moved = {name: torch.zeros_like(w) for name, w in weights.items()}
    for step, rate in enumerate((0.3, 0.03)):
        x, y = batch(step)
        set_lr(optimizer, rate, made.lr)
        torch.nn.functional.cross_entropy(model(x.double()), y).backward()
        for name, p in model.named_parameters():
            gradient = p.grad + (0.25 * weights[name] if p.ndim > 1 else 0)
            moved[name] = 0.5 * moved[name] + gradient
            weights[name] = weights[name] - rate * moved[name]
        optimizer.step()
        optimizer.zero_grad()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), weights[name], rtol=1e-12, atol=1e-14)


def test_adam_has_the_recipes_betas():
    optimizer = make_optimizer(small_net(), recipe(optimizer="adam", betas=(0.7, 0.95)))
    assert isinstance(optimizer, torch.optim.Adam)
    assert {g["betas"] for g in optimizer.param_groups} == {(0.7, 0.95)}


@pytest.mark.parametrize(
    "groups, facts",
    [
        (lambda p: [{"params": [p], "lr_scal": 0.1}], ["'lr_scal'", "params", "lr_scale", "weight_decay"]),
        (lambda p: [{"params": [p]}, {"params": [p]}], ["parameter", "two groups"]),
    ],
)
def test_a_mistake_in_groups_names_the_method(groups, facts):
    model = small_net()

    class Wishing:
        file = "methods/wishing.py"

        def groups(self, model, sites, p):
            return groups(model.fc.bias)

    model.method = Wishing()
    with mistake("methods/wishing.py: groups", *facts):
        make_optimizer(model, recipe())
