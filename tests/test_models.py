"""Models: torchvision's numbers, equations written slowly, small inputs, and what a user reads when an argument is wrong."""

import copy

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from normbench import load_method
from normbench.config.tasks import read_task, task_names
from normbench.core.errors import InputError
from normbench.hooks.builder import count_parameters
from normbench.models import build_model, plain_cnn, resnet, vgg, wide_resnet

BATCH_NORM, NONE = load_method("batch_norm"), load_method("none")
VIDEO = torchvision.models.video

TORCHVISION = {
    "resnet18": (resnet, {"depth": 18}),
    "resnet34": (resnet, {"depth": 34}),
    "resnet50": (resnet, {"depth": 50}),
    "resnet101": (resnet, {"depth": 101}),
    "resnet152": (resnet, {"depth": 152}),
    "resnext50_32x4d": (resnet, {"depth": 50, "groups": 32, "width_per_group": 4}),
    "resnext101_32x8d": (resnet, {"depth": 101, "groups": 32, "width_per_group": 8}),
    "wide_resnet50_2": (resnet, {"depth": 50, "width_per_group": 128}),
    "vgg11": (vgg, {"depth": 11, "method": NONE}),
    "vgg19": (vgg, {"depth": 19, "method": NONE}),
    "vgg11_bn": (vgg, {"depth": 11}),
    "vgg13_bn": (vgg, {"depth": 13}),
    "vgg16_bn": (vgg, {"depth": 16}),
    "vgg19_bn": (vgg, {"depth": 19}),
    "r3d_18": (resnet, {"depth": 18, "dims": 3}),
}
COMPARED = ["resnet18", "resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d", "vgg19_bn", "r3d_18"]


def theirs(name, num_classes):
    return getattr(VIDEO if name == "r3d_18" else torchvision.models, name)(num_classes=num_classes)


def ours(name, num_classes):
    family, arguments = TORCHVISION[name]
    return family(**{"method": BATCH_NORM, **arguments}, num_classes=num_classes)


def transplant(source, target):
    """Give `target` the parameters and buffers of `source`, matched by order; shapes must agree."""
    given, taken = source.state_dict(), target.state_dict()
    assert [tuple(v.shape) for v in given.values()] == [tuple(v.shape) for v in taken.values()]
    target.load_state_dict(dict(zip(taken, (v.clone() for v in given.values()), strict=True)), assign=True)


def twins(name):
    """torchvision's model with random tensors, norms away from their first values, and ours with the same tensors."""
    torch.manual_seed(0)
    with torch.device("meta"):
        reference, model = theirs(name, 10), ours(name, 10)
    reference.to_empty(device="cpu")
    for key, tensor in reference.state_dict().items():
        if tensor.dim() > 1:
            tensor.uniform_(-1, 1).mul_((6 / tensor[0].numel()) ** 0.5)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if key.endswith(("weight", "running_var")) else tensor.uniform_(-0.2, 0.2)
        else:
            tensor.zero_()
    transplant(reference, model)
    return reference, model


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameter_count_is_torchvisions(name):
    with torch.device("meta"):
        assert count_parameters(ours(name, 1000)) == count_parameters(theirs(name, 1000))


@pytest.mark.parametrize("name", COMPARED)
def test_output_is_torchvisions(name):
    reference, model = twins(name)
    x = torch.randn((2, 3, 4, 32, 32) if name == "r3d_18" else (2, 3, 64, 64))
    with torch.no_grad():
        expected, got = reference.eval()(x), model.eval()(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_training_step_is_torchvisions():
    reference, model = twins("resnet18")
    x, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 3, 5, 9])
    for net in (reference, model):
        functional.cross_entropy(net.train()(x), labels).backward()
    for (name, mine), their in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, their.grad, rtol=1e-4, atol=1e-6, msg=name)
    for mine, their in zip(model.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(mine, their)


def cifar_count(n, widths, *, projection, kernel, classes):
    """Trainable numbers of a version 1 CIFAR network with batch norm, n basic blocks a stage, added up by hand."""
    total, c = 3 * widths[0] * 9 + 2 * widths[0], widths[0]
    for width in widths:
        total += c * width * 9 + (2 * n - 1) * width * width * 9 + 2 * n * 2 * width
        if projection and c != width:
            total += c * width * kernel**2 + 2 * width
        c = width
    return total + c * classes + classes


def test_cifar_resnets_have_the_published_sizes():
    """arXiv:1512.03385, table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters with identity shortcuts."""
    for depth, millions in ((20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)):
        count = count_parameters(resnet(depth, method=BATCH_NORM, num_classes=10, shortcut="pad"))
        assert count == cifar_count((depth - 2) // 6, (16, 32, 64), projection=False, kernel=1, classes=10)
        assert abs(count / 1e6 - millions) < (0.006 if depth < 110 else 0.06)
    beyond = resnet(56, width=32, shortcut="conv3x3", method=BATCH_NORM, num_classes=100)
    assert count_parameters(beyond) == cifar_count(9, (32, 64, 128), projection=True, kernel=3, classes=100)


def test_wide_resnets_have_the_published_sizes():
    """arXiv:1605.07146, table 4 and 5: 40-4 8.9, 16-8 11.0, 22-8 17.2, 28-10 36.5 million parameters."""
    for depth, width, millions in ((40, 4, 8.9), (16, 8, 11.0), (22, 8, 17.2), (28, 10, 36.5)):
        with torch.device("meta"):
            count = count_parameters(wide_resnet(depth, width, method=BATCH_NORM, num_classes=10))
        assert abs(count / 1e6 - millions) < 0.06


PLAIN = {
    10: "64 64/ 128 128/ 256 256/ 512 512/ 512 512",
    20: "64 64 64 64/ 128 128 128 128/ 256 256 256 256/ 256 256 256 256/ 512 512 512 512",
    40: "64 " * 7 + "64/ " + "128 " * 7 + "128/ " + "256 " * 7 + "256/ " + "512 " * 7 + "512/ " + "512 " * 8,
}


@pytest.mark.parametrize("depth", PLAIN)
def test_plain_cnn_has_the_released_layers(depth):
    with torch.device("meta"):
        model = plain_cnn(depth, method=BATCH_NORM, num_classes=100)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [f"{m.out_channels}{'/' if m.stride == (2, 2) else ''}" for m in convs] == PLAIN[depth].split()
    assert all(m.kernel_size == (3, 3) and m.bias is None for m in convs) and model.fc.in_features == 512


def test_uniform_plain_cnn_keeps_width_and_size():
    model = plain_cnn(7, width=5, uniform=True, method=BATCH_NORM, num_classes=10)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.stride) for m in convs] == [(5, (1, 1))] * 7


def v2_by_hand(model, x, layers):
    """The pre-activation network with projections of the activated input, one operation a line."""
    at = {p.site.name: p.module for p in model.sites}

    def norm_relu(name, x):
        return (x if at[name] is None else at[name](x)).clamp(min=0)

    x = at["stem.conv"](x)
    for stage, count in enumerate(layers, 1):
        for i in range(count):
            block = f"layer{stage}.{i}"
            active = norm_relu(f"{block}.norm1", x)
            skip = at[f"{block}.shortcut.conv"](active) if f"{block}.shortcut.conv" in at else x
            x = skip + at[f"{block}.conv2"](norm_relu(f"{block}.norm2", at[f"{block}.conv1"](active)))
    return at["fc"](norm_relu("head.norm", x).mean((2, 3)))


@pytest.mark.parametrize("method", [BATCH_NORM, NONE], ids=lambda m: m.name)
def test_wide_resnet_by_hand(method):
    torch.manual_seed(0)
    model = wide_resnet(16, 2, base_width=3, method=method, num_classes=10).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(model(x), v2_by_hand(model, x, [2, 2, 2]))


@pytest.mark.parametrize("early", [False, True])
def test_where_the_activation_of_version_1_stands(early):
    torch.manual_seed(0)
    model = resnet(layers=[2], block="basic", width=4, method=BATCH_NORM, num_classes=10, activation_before_join=early).double()
    block, x = model.layer1[1], torch.randn(4, 4, 6, 6, dtype=torch.float64)
    at = {p.site.name: p.module for p in model.sites if p.site.name.startswith("layer1.1.")}
    inner = at["layer1.1.norm1"](at["layer1.1.conv1"](x)).relu()
    branch = at["layer1.1.norm2"](at["layer1.1.conv2"](inner))
    torch.testing.assert_close(block(x), x + branch.relu() if early else (x + branch).relu())


def test_shortcuts_by_hand():
    x = torch.randn(2, 4, 7, 5, dtype=torch.float64)

    def shortcut(kind, **design):
        model = resnet(layers=[1, 1], block="basic", width=4, method=NONE, num_classes=2, shortcut=kind, **design).double()
        return model.layer2[0].shortcut

    pad = shortcut("pad")(x)
    assert torch.equal(pad[:, :4], x[:, :, ::2, ::2]) and not pad[:, 4:].any() and pad.shape == (2, 8, 4, 3)
    pooled = shortcut("avgpool_conv1x1")
    padded = functional.pad(x, (0, 1, 0, 1))
    cells = functional.pad(torch.ones_like(x), (0, 1, 0, 1))
    mean = functional.avg_pool2d(padded, 2) / functional.avg_pool2d(cells, 2)
    torch.testing.assert_close(pooled(x), torch.einsum("oi,nihw->nohw", pooled.conv.weight[:, :, 0, 0], mean))
    for kind, kernel in (("conv1x1", 1), ("conv3x3", 3)):
        conv = shortcut(kind)
        torch.testing.assert_close(conv(x), functional.conv2d(x, conv.conv.weight, stride=2, padding=kernel // 2))


@pytest.mark.parametrize(
    "family, arguments",
    [
        (resnet, {"layers": [1, 2, 1], "block": "basic", "width": 4}),
        (resnet, {"layers": [1, 1, 2], "block": "bottleneck", "width": 4, "stride_first": True, "shortcut": "conv3x3"}),
        (resnet, {"layers": [1, 1, 1], "block": "basic", "width": 4, "shortcut": "avgpool_conv1x1", "head_norm": True}),
        (resnet, {"layers": [1, 1, 1], "block": "bottleneck", "width": 4, "shortcut": "pad", "version": 2}),
        (wide_resnet, {"depth": 10, "width": 2, "base_width": 3}),
        (plain_cnn, {"depth": 10, "width": 4}),
        (vgg, {"depth": 11, "width": 4, "classifier": "cifar"}),
    ],
)
def test_a_still_clip_is_an_image(family, arguments):
    """With 3D kernels that are 0 but for the middle frame, a clip of one frame repeated has that frame's scores."""
    torch.manual_seed(0)
    image_net = family(**arguments, method=BATCH_NORM, num_classes=5).double()
    clip_net = family(**arguments, method=BATCH_NORM, num_classes=5, dims=3).double()
    for source, target in zip(image_net.parameters(), clip_net.parameters(), strict=True):
        with torch.no_grad():
            if target.dim() == 5:
                target.zero_()[:, :, target.shape[2] // 2] = source
            else:
                target.copy_(source)
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(clip_net(x.unsqueeze(2).expand(-1, -1, 8, -1, -1)), image_net(x))


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
