"""Models against others: torchvision's numbers, published sizes, and equations written slowly."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from normbench import load_method
from normbench.hooks.builder import count_parameters
from normbench.models import plain_cnn, resnet, vgg, wide_resnet

pytestmark = pytest.mark.slow

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
