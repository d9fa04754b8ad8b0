"""Building models: small inputs of any shape, every model of the tasks, initialization, dropout, and a wrong argument's sentence."""

import copy

import pytest
import torch
from torch import nn

from normbench import load_method
from normbench.config.tasks import read_task, task_names
from normbench.core.errors import InputError
from normbench.models import build_model, resnet, vgg

BATCH_NORM, NONE = load_method("batch_norm"), load_method("none")

SMALL = {
    "resnet18": {"family": "resnet", "depth": 18, "width": 8},
    "resnet20": {"family": "resnet", "depth": 20, "width": 4},
    "resnext50": {"family": "resnet", "depth": 50, "width": 8, "groups": 2, "width_per_group": 16},
    "resnet50_v2": {"family": "resnet", "depth": 50, "width": 8, "version": 2},
    "wide_resnet": {"family": "wide_resnet", "depth": 16, "width": 2, "base_width": 4},
    "vgg": {"family": "vgg", "depth": 19, "width": 4, "hidden": 16},
    "vgg_cifar": {"family": "vgg", "depth": 11, "width": 4, "classifier": "cifar", "drop_fc": 0.1},
    "plain": {"family": "plain_cnn", "depth": 40, "width": 4, "drop_conv": 0.1},
}


@pytest.mark.parametrize("in_shape", [(3, 8, 8), (1, 8, 8), (3, 11, 9), (3, 4, 8, 8)], ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_every_family_trains_on_small_inputs(name, in_shape):
    spec = copy.deepcopy(SMALL[name])
    model = build_model(spec, BATCH_NORM, num_classes=10, in_shape=in_shape)
    scores = model(torch.rand(3, *in_shape))
    assert scores.shape == (3, 10) and spec == SMALL[name]
    scores.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_copy_of_a_model_is_independent_of_it():
    model = build_model(SMALL["resnet20"], BATCH_NORM, num_classes=10).eval()
    clone, x = copy.deepcopy(model), torch.rand(2, 3, 8, 8)
    assert clone.method is model.method and torch.equal(clone(x), model(x))
    clone.sites[0].module.weight.data.zero_()
    assert model.sites[0].module.weight.any() and not torch.equal(clone(x), model(x))


@pytest.mark.parametrize("task", task_names())
def test_the_models_of_the_tasks_can_be_built(task):
    for spec in read_task(task).models.values():
        if spec.get("family") in ("resnet", "wide_resnet", "vgg", "plain_cnn"):
            with torch.device("meta"):
                assert build_model(spec, BATCH_NORM, num_classes=10).sites


def test_initialization():
    torch.manual_seed(0)
    arguments = {"depth": 20, "width": 32, "method": NONE, "num_classes": 1000}
    for init, fan in (("fan_out", 64 * 9), ("fan_in", 32 * 9)):
        conv = resnet(**arguments, init=init).layer2[0].branch.conv1
        assert conv.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.03)
    for fc_init, std in (("normal", 0.01), ("kaiming", (2 / 1000) ** 0.5), ("linear", 128**-0.5)):
        fc = resnet(**arguments, fc_init=fc_init).fc
        assert fc.weight.std().item() == pytest.approx(std, rel=0.03) and not fc.bias.any()
    torch_fc = resnet(**arguments).fc
    assert torch_fc.weight.abs().max().item() == pytest.approx(128**-0.5, rel=0.01) and torch_fc.bias.any()
    assert not any(m.bias.any() for m in vgg(11, width=8, method=NONE, num_classes=10, hidden=8).body if isinstance(m, nn.Conv2d))


def test_dropout_stands_where_asked():
    def dropped(model):
        return {name: m.p for name, m in model.named_modules() if isinstance(m, nn.Dropout | nn.Dropout2d | nn.Dropout3d)}

    model = resnet(layers=[1, 1, 1, 1], block="bottleneck", width=4, drop_conv=0.03, drop_fc=0.3, method=BATCH_NORM, num_classes=2)
    last = {f"layer{s}.0.branch.drop{i}": 0.03 for s in (3, 4) for i in (1, 2, 3)}
    assert dropped(model) == {**last, "drop": 0.3}
    names = [name for name, _ in model.layer3[0].branch.named_children()]
    assert names == ["conv1", "norm1", "drop1", "act1", "conv2", "norm2", "drop2", "act2", "conv3", "norm3", "drop3"]
    assert dropped(vgg(11, width=4, method=NONE, num_classes=2)) == {"drop1": 0.5, "drop2": 0.5}
    assert not dropped(vgg(11, width=4, method=NONE, num_classes=2, classifier="cifar"))


@pytest.mark.parametrize(
    "spec, sentence",
    [
        ({"family": "resnett"}, "model: 'resnett' is no family; did you mean 'resnet'? (known: plain_cnn, resnet, vgg, wide_resnet)"),
        ({"depth": 18}, "model: the key 'family' is missing (known: plain_cnn, resnet, vgg, wide_resnet)"),
        ({"family": "resnet", "depht": 18}, "model resnet: 'depht' is no argument; did you mean 'depth'? (known:"),
        ({"family": "vgg", "depth": 11, "uniform": True}, "model vgg: 'uniform' is no argument"),
        ({"family": "vgg", "width": 4}, "model vgg: the argument 'depth' is missing"),
        ({"family": "resnet", "depth": 51}, "depth must be 18, 34, 50, 101, 152, 200 or 6n + 2, got 51; the nearest: 50"),
        ({"family": "resnet", "depth": 57}, "depth must be 18, 34, 50, 101, 152, 200 or 6n + 2, got 57; the nearest: 56"),
        ({"family": "resnet", "depth": "50"}, "model resnet: depth must be a whole number from 1 up, got '50'"),
        ({"family": "resnet"}, "model resnet: exactly one of depth and layers must be given, got depth None and layers None"),
        ({"family": "resnet", "depth": 50, "layers": [1]}, "exactly one of depth and layers must be given, got depth 50 and layers [1]"),
        ({"family": "resnet", "layers": [2, 0]}, "model resnet: each of layers must be a whole number from 1 up, got 0"),
        ({"family": "resnet", "depth": 50, "block": "basic"}, "depth 50 has bottleneck blocks, got block 'basic'; give layers in place"),
        ({"family": "resnet", "depth": 18, "groups": 4}, "groups, width_per_group and stride_first go with bottleneck blocks"),
        ({"family": "resnet", "depth": 50, "width": 2, "width_per_group": 4}, "width x width_per_group must be at least 64, got 2 x 4"),
        ({"family": "resnet", "depth": 50, "widths": [8, 8]}, "model resnet: widths must give 4 stages, got [8, 8]"),
        (
            {"family": "resnet", "depth": 20, "activation": "rleu"},
            "model resnet: activation: 'rleu' is no value that exists; did you mean 'relu'?",
        ),
        ({"family": "resnet", "depth": 20, "shortcut": "conv1"}, "did you mean 'conv1x1'?"),
        ({"family": "resnet", "depth": 20, "drop_fc": 1.5}, "model resnet: drop_fc must be a probability from 0 to below 1, got 1.5"),
        ({"family": "resnet", "depth": 20, "conv_bias": "yes"}, "model resnet: conv_bias must be true or false, got 'yes'"),
        ({"family": "resnet", "depth": 20, "version": 2, "activation_before_join": True}, "activation_before_join goes with version 1"),
        ({"family": "resnet", "depth": 20, "dims": 3}, "dims is 3, but a sample of shape (3, 8, 8) has 2"),
        ({"family": "resnet", "depth": 20, "num_classes": 3}, "model resnet: num_classes comes with the run and not with the model, got 3"),
        ({"family": "wide_resnet", "depth": 1001}, "depth must be 6n + 4 with n from 1 up, got 1001; the nearest: 1000 and 1006"),
        ({"family": "wide_resnet", "depth": 4}, "depth must be 6n + 4 with n from 1 up, got 4; the nearest: 10"),
        ({"family": "wide_resnet", "depth": 16, "layers": [1]}, "model wide_resnet: 'layers' is no argument"),
        ({"family": "vgg", "depth": 18}, "model vgg: depth must be 11, 13, 16 or 19, got 18; the nearest: 19"),
        ({"family": "vgg", "depth": 11, "drop_fc": 0.3}, "drop_fc goes with classifier cifar"),
        ({"family": "plain_cnn", "depth": 30}, "model plain_cnn: depth must be 10, 20 or 40, or any with uniform, got 30; the nearest: 20"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_argument_is_one_sentence(spec, sentence):
    with pytest.raises(InputError) as caught:
        build_model(spec, BATCH_NORM, num_classes=10, in_shape=(3, 8, 8))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
