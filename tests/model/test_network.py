"""SCGC-Net as a whole: what every network must do, the flags, and the counts of the paper's size."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from networks import NetworkTests

from scgcnet import cost, zoo
from scgcnet.model import ABLATIONS, CHOICES, DILATIONS, SCGCNetConfig
from scgcnet.model.hmie import MSLE, SCFE
from scgcnet.model.network import standardise


class TestTiny(NetworkTests):
    name = "scgcnet"


class TestBaseConstructionAtSmallWidths(NetworkTests):
    """`base`'s parts (deep stem, nested context, N = 16, plain MSLE) at widths that a test can afford."""

    name = "scgcnet"
    size = "base"
    options: ClassVar[dict[str, Any]] = {
        "stem_width": 16,
        "widths": (16, 16, 32, 32),
        "depths": (1, 1),
        "neck_width": 16,
        "cu_width": 8,
        "state_size": 4,
    }


class TestLeanConstructionAtSmallWidths(NetworkTests):
    """`lean`'s depthwise MSLE and 2x2 downsampling, with the other readings of the X rows."""

    name = "scgcnet"
    size = "lean"
    options: ClassVar[dict[str, Any]] = {
        "stem_width": 16,
        "widths": (16, 16, 32, 32),
        "depths": (1, 1),
        "neck_width": 16,
        "cu_width": 8,
        "rb": "concat",
        "fuse": "concat",
        "cam_where": "backbone",
        "cam_query": True,
        "cam_global": True,
        "msle_layout": "cascade",
    }


#: GMAC at 2048x2048 of the flags, from the reading that the network was chosen by.
GMAC_2048 = {"A1": 752, "A2": 2161, "A3": 752, "A4": 1657, "A5": 2162, "A6": 3067, "A7": 1658, "A8": 3068}


def count(size: str, side: int, **options: Any) -> cost.Cost:
    with torch.device("meta"):
        model = zoo.create_model("scgcnet", size, **options)
    return cost.count_cost(model, (1, 3, side, side))


def test_base_has_the_size_that_the_paper_reports() -> None:
    cost = count("base", 2048)
    assert cost.params == pytest.approx(252.9e6, rel=0.005)
    assert cost.gmac == pytest.approx(3068, rel=0.005)


@pytest.mark.parametrize("experiment", GMAC_2048)
def test_flags_cost_what_the_architecture_page_says(experiment: str) -> None:
    assert count("base", 2048, **ABLATIONS[experiment]).gmac == pytest.approx(GMAC_2048[experiment], rel=0.01)


@pytest.mark.parametrize(
    ("size", "params", "gmac"),
    [("tiny", 1.18e6, 1.28), ("small", 13.74e6, 14.4), ("lean", 83.68e6, 64.03), ("base", 252.88e6, 191.75)],
)
def test_presets(size: str, params: float, gmac: float) -> None:
    cost = count(size, 512)
    assert cost.params == pytest.approx(params, rel=0.005)
    assert cost.gmac == pytest.approx(gmac, rel=0.005)


def test_cost_of_the_parts_of_base() -> None:
    parts = count("base", 512).by_module
    expected = {"encoder.stem": 1.87, "encoder.stage1": 3.49, "encoder.stage2": 5.37, "encoder.stage3": 50.38}
    expected |= {"encoder.stage4": 49.62, "cam.3": 0.044, "decoder": 69.30, "head": 9.67}
    for name, gmac in expected.items():
        assert parts[name] / 1e9 == pytest.approx(gmac, rel=0.005), name


@pytest.mark.parametrize(
    ("options", "params", "gmac"),
    [
        ({"fuse": "concat", "cam_where": "laterals", "smooth": False}, 272.61, 3061.48),
        (
            {
                "msle_mid": 1.0,
                "neck_width": 128,
                "cu_width": 128,
                "cam_where": "laterals",
                "rb": "literal",
                "smooth": False,
            },
            401.41,
            3080.84,
        ),
        ({"fuse": "concat", "cam_where": "backbone", "rb": "literal", "smooth": False}, 282.89, 3069.59),
        (
            {"widths": (256, 512, 512, 1024), "msle_mid": 1.0, "cam_where": "laterals", "rb": "concat"},
            117.41,
            2615.86,
        ),
    ],
    ids=["C2", "C3", "C4", "C5"],
)
def test_the_other_readings_stay_reachable(options: dict[str, Any], params: float, gmac: float) -> None:
    cost = count("base", 2048, **options)
    assert cost.params / 1e6 == pytest.approx(params, rel=0.001)
    assert cost.gmac == pytest.approx(gmac, rel=0.001)


def test_cost_per_pixel_is_constant() -> None:
    assert count("tiny", 1024).macs == 16 * count("tiny", 256).macs


@pytest.mark.parametrize("row", DILATIONS)
def test_dilations_of_table_three(row: str) -> None:
    model = zoo.create_model("scgcnet", "tiny", dilations=DILATIONS[row])
    stages = [[m for m in stage if isinstance(m, SCFE)] for stage in (model.encoder.stage3, model.encoder.stage4)]  # type: ignore[union-attr]

    def rates(block: SCFE) -> tuple[int, ...]:
        found = tuple(branch[0].dilation[0] for branch in block.spatial.branches)  # type: ignore[index]
        return found * (3 // len(found))  # three convolutions at one rate are one

    assert tuple(tuple(rates(m) for m in stage) for stage in stages) == DILATIONS[row]
    assert model.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("experiment", ABLATIONS)
def test_flags_remove_exactly_their_part(experiment: str) -> None:
    flags = ABLATIONS[experiment]
    names = [type(m).__name__ for m in zoo.create_model("scgcnet", "tiny", **flags).modules()]
    assert names.count("SCFE") == (4 if flags["hmie"] else 0)
    assert names.count("ContextAwareModulator") == (1 if flags["cam"] else 0)
    assert names.count("CalibrationUnit") == (3 if flags["psccs"] else 0)
    assert names.count("PyramidUnit") == (0 if flags["psccs"] else 3)


def test_receptive_field_of_an_msle_follows_layout() -> None:
    reach = {}
    for layout in ("parallel", "cascade"):
        config = SCGCNetConfig(widths=(8, 8, 8, 8), msle_layout=layout)  # type: ignore[arg-type]
        msle = MSLE(8, (2, 2, 2), config).eval()
        x = torch.zeros(1, 8, 41, 41, requires_grad=True)
        msle(x + 1)[0, :, 20, 20].sum().backward()
        assert x.grad is not None
        columns = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        reach[layout] = int(columns.max() - columns.min()) + 1
    assert reach == {"parallel": 5, "cascade": 13}


def test_every_choice_names_fields_that_exist() -> None:
    fields = set(SCGCNetConfig().to_dict())
    for choice in CHOICES:
        assert set(choice.fields) <= fields
    named = {name for choice in CHOICES for name in choice.fields}
    assert fields - named == {"in_channels", "num_classes"}


def test_configuration_survives_json() -> None:
    config = SCGCNetConfig(dilations=DILATIONS["B2"], cam_kernels=(5, 7))
    assert SCGCNetConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilation": 3}, "unknown option 'dilation'.*dilations"),
        ({"rb": "none"}, "rb='none': allowed are 'project', 'concat', 'literal'"),
        ({"widths": (32, 64, 96)}, "widths=.*4 entries"),
        ({"widths": (32, 64, 96, 161)}, "multiple of 4"),
        ({"dilations": (((1, 1),), ((1, 1, 1),))}, "three rates"),
        ({"in_channels": 0}, "in_channels=0"),
        ({"psccs": 1}, "psccs=1: must be true or false"),
        ({"cam_kernels": (4,)}, "all odd"),
        ({"msle_mid": 0}, "msle_mid=0"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zoo.create_model("scgcnet", "tiny", **options)


def test_a_standardised_input_does_not_depend_on_light() -> None:
    """Each band of each image: its brightness and contrast drop out."""
    torch.manual_seed(0)
    network = zoo.create_model("scgcnet", "tiny", standardise=True).eval()
    images = torch.randn(2, 3, 64, 64)
    light = (
        torch.tensor([0.5, 2.0, 3.0])[None, :, None, None] * images
        + torch.tensor([1.0, -2.0, 0.5])[None, :, None, None]
    )
    with torch.no_grad():
        torch.testing.assert_close(network(light), network(images), rtol=1e-3, atol=1e-4)
        assert (network(images[:1]) - network(images)[:1]).abs().max() < 1e-4  # of its own alone
        plain = zoo.create_model("scgcnet", "tiny").eval()
        assert (plain(light) - plain(images)).abs().max() > 1e-2


def test_standardising_leaves_the_canvas_out() -> None:
    torch.manual_seed(0)
    picture = torch.randn(1, 3, 20, 24) * torch.tensor([2.0, 0.1, 1.0])[:, None, None] + 3
    canvas = torch.zeros(1, 3, 64, 64)
    canvas[:, :, 5:25, 30:54] = picture
    found = standardise(canvas)
    torch.testing.assert_close(found[:, :, 5:25, 30:54], standardise(picture))
    assert found.count_nonzero() == picture.numel()
    torch.testing.assert_close(standardise(picture).mean(dim=(2, 3)), torch.zeros(1, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(standardise(picture).var(dim=(2, 3), correction=0), torch.ones(1, 3), rtol=2e-3, atol=0)
    assert torch.equal(standardise(torch.zeros(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))
    assert standardise(torch.full((1, 3, 4, 4), 5.0)).abs().max() < 1e-2
