"""Networks for clips that begin with the weights of one for pictures: inflation, what is refused, and where such weights come from."""

import pytest
import torch
from clip_arms import an_arm, network, small_motions
from facts import mistake
from torch import nn

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.execution.task_api import Context
from normbench.models import build_model
from tasks.imagenet import data as images
from tasks.kinetics import adapter, pretrain, weights


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_motions(tmp_path_factory.mktemp("data"))


def pictures(net_2d: nn.Module, net_3d: nn.Module, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    picture = torch.randn(2, 3, 32, 32)
    return net_2d.eval()(picture), net_3d.eval()(picture[:, :, None].expand(-1, -1, frames, -1, -1))


FLAT = {"family": "resnet", "layers": [1, 1], "block": "basic", "width": 4, "stem": "imagenet"}
STILL = {"family": "slow_resnet", "layers": [1, 1], "block": "basic", "width": 4, "temporal": [1, 1]}  # no kernel longer than a frame


def kept(tmp_path, method: str, model: dict, params: dict | None = None):
    """2D weights as pretrain.py writes them, of a network that did not train; and the network."""
    torch.manual_seed(0)
    chosen, spec = load_method(method), ArmSpec("imagenet", "digits32", model, method, params or {}, {})
    net = build_model(model, chosen, chosen.params(**(params or {})), num_classes=10)
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.02, 0.3)
    content = {"format": 1, "spec": vars(spec), "seed": 3, "data_sha256": "", "metrics": {"test_top1": 61.0}, "model": net.state_dict()}
    torch.save(content, tmp_path / "two.pt")
    return net


@pytest.mark.parametrize("method", ["batch_norm", "rescalenet", "group_norm"])
def test_an_inflated_network_gives_on_a_still_clip_what_the_flat_one_gives_on_the_picture(method, tmp_path):
    params = {"num_groups": 2} if method == "group_norm" else {}
    flat = kept(tmp_path, method, FLAT, params)
    arm = an_arm(method, STILL, params)
    net = network(arm.model, method, **params)
    assert weights.inflate(net, "two", arm, tmp_path) == {"weights": "two: digits32, seed 3, test_top1 61.00%, inflated"}
    flat.fc, net.fc = nn.Identity(), nn.Identity()  # the last layer is each one's own
    expected, found = pictures(flat, net, 5)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_kernel_is_repeated_over_time_and_divided_by_its_length():
    flat, deep = nn.Conv2d(3, 4, 3, padding=1), nn.Conv3d(3, 4, (3, 3, 3), padding=1)
    deep.weight.data, deep.bias.data = weights.inflated(flat.weight.data, deep.weight.shape).clone(), flat.bias.data
    picture = torch.randn(2, 3, 8, 8)
    found = deep(picture[:, :, None].expand(-1, -1, 5, -1, -1))
    for t in (1, 2, 3):  # where the kernel lies within the clip
        torch.testing.assert_close(found[:, :, t], flat(picture), rtol=1e-4, atol=1e-5)
    assert weights.inflated(torch.ones(4, 3, 3, 3), (4, 3, 3, 5, 5)) is None and weights.inflated(torch.ones(4), (5,)) is None


def test_weights_of_another_method_model_or_maker_are_refused_in_one_sentence(tmp_path):
    kept(tmp_path, "batch_norm", FLAT)
    slow = STILL
    weights.check("two", an_arm(model=slow), tmp_path)
    for arm, name, facts in (
        (
            an_arm("group_norm", slow),
            "two",
            ("two.pt", "method", "['batch_norm', {}]", "['group_norm', {}]"),
        ),
        (
            an_arm(model={**slow, "width": 8}),
            "two",
            ("two.pt", "model", "'width': 4", "'width': 8"),
        ),
        (an_arm(model=slow), "tow", ("recipe: inflate", "'tow'", "'two'")),
        (an_arm(model=slow), "cut", ("cut.pt", "cut short", "python -m tasks.kinetics.pretrain")),
    ):
        (tmp_path / "cut.pt").write_bytes((tmp_path / "two.pt").read_bytes()[:500])
        with mistake(*facts):
            weights.check(name, arm, tmp_path)
    kept(tmp_path, "weight_norm", FLAT)
    arm = an_arm("weight_norm", slow)
    with mistake("'weight_norm'", "kernels"):
        weights.inflate(network(slow, "weight_norm"), "two", arm, tmp_path)


def test_two_dimensional_weights_come_from_a_run_of_the_imagenet_task(tmp_path, root, monkeypatch):
    images.make("digits", root / "digits")
    recipe = {"steps": 3, "batch_size": 16, "lr": 0.1}
    arm = ArmSpec("imagenet", "digits", FLAT, "batch_norm", {}, recipe)
    pretrain.pretrain(arm, 1, root, "two", torch.device("cpu"), tmp_path)
    content = torch.load(tmp_path / "two.pt", weights_only=True)
    assert (content["spec"]["method"], content["seed"], content["data_sha256"]) == (
        "batch_norm",
        1,
        images.data_sha256("digits", root / "digits"),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["two.pt"] and 0 < content["metrics"]["test_top1"] <= 100
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    clips = an_arm(model={**STILL, "temporal": [1, 3]}, inflate="two", steps=1, evaluations=1)
    assert adapter.check(clips) is None
    result = adapter.run(clips, 0, Context(torch.device("cpu"), root))
    assert result.notes["weights"].startswith("two: digits, seed 1, test_top1 ")
    with mistake("'kinetics'", "'imagenet'"):
        pretrain.pretrain(clips, 0, root, "two", torch.device("cpu"), tmp_path)
