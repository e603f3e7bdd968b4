"""The whole configuration of SCGC-Net: one frozen dataclass, four presets, and the paper's ablation rows.

Fields marked **P** are said by the paper, fields marked **X** are chosen by this study because the paper leaves
them open; the chapter "The network" lists them side by side. `CHOICES` is that list as data.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

Rates = tuple[int, int, int]
"""The three dilation rates of one MSLE module (eq. 12)."""

#: Table III: for each row, the rates of every SCFE in stage 3 (SCFE1) and in stage 4 (SCFE2).
#: Rows B1 and B2 print one triple a stage, so they have one SCFE a stage.
DILATIONS: dict[str, tuple[tuple[Rates, ...], tuple[Rates, ...]]] = {
    "B1": (((1, 1, 1),), ((1, 1, 1),)),
    "B2": (((2, 2, 2),), ((5, 5, 5),)),
    "B3": (((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (3, 3, 3))),
    "B4": (((3, 3, 3), (3, 3, 3)), ((5, 5, 5), (5, 5, 5))),
    "B5": (((3, 3, 3), (5, 5, 5)), ((8, 8, 8), (12, 12, 12))),
    "B6": (((2, 2, 2), (3, 3, 3)), ((3, 3, 3), (5, 5, 5))),
    "B7": (((1, 1, 1), (2, 2, 2)), ((1, 2, 2), (2, 2, 3))),
}

#: Table II: which parts each experiment has.
ABLATIONS: dict[str, dict[str, bool]] = {
    "A1": {"hmie": False, "cam": False, "psccs": False},
    "A2": {"hmie": True, "cam": False, "psccs": False},
    "A3": {"hmie": False, "cam": True, "psccs": False},
    "A4": {"hmie": False, "cam": False, "psccs": True},
    "A5": {"hmie": True, "cam": True, "psccs": False},
    "A6": {"hmie": True, "cam": False, "psccs": True},
    "A7": {"hmie": False, "cam": True, "psccs": True},
    "A8": {"hmie": True, "cam": True, "psccs": True},
}

#: Channels of EfficientNet-Lite0 at strides 4, 8, 16 and 32.
LITE0_WIDTHS = (24, 40, 112, 320)
#: How many of these levels a trunk gives.
TRUNK_LEVELS = {"resnet": 0, "lite0": 2, "lite0_deep": 4}


@dataclass(frozen=True)
class SCGCNetConfig:
    """Everything that determines an SCGC-Net; the defaults are the paper-size reading `base`.

    Raises:
        ValueError: A value is outside its range; the message names the field and what is allowed.
    """

    in_channels: int = 3  # bands of the input image
    num_classes: int = 2  # channels of the logits: background, landslide
    standardise: bool = False  # X; each band of each image to mean 0 and deviation 1, against other light and sensors

    # Table II's flags.
    hmie: bool = True  # P; off: ResNet-50's stages 3 and 4
    cam: bool = True  # P; off: identity
    psccs: bool = True  # P; off: feature pyramid

    # Encoder.
    trunk: Literal["resnet", "lite0", "lite0_deep"] = "resnet"  # P; X: EfficientNet-Lite0's, see trunk.py
    stem: Literal["deep", "light"] = "deep"  # X; three 3x3 and a max-pool, or two strided 3x3
    stem_width: int = 64  # X; channels after the stem; the inner layers have half
    widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)  # X; channels of the four levels
    depths: tuple[int, int] = (3, 4)  # X; bottlenecks in stages 1 and 2 (eqs. 3-6)
    resnet_depths: tuple[int, int] = (6, 3)  # P; bottlenecks in stages 3 and 4 where `hmie` is off
    downsample: Literal["conv3", "conv2"] = "conv3"  # X; 3x3 or 2x2 stride-2 convolution into stages 3, 4

    # SCFE (eqs. 7-12).
    dilations: tuple[tuple[Rates, ...], tuple[Rates, ...]] = DILATIONS["B6"]  # P; one triple per SCFE
    msle: Literal["conv", "bottleneck", "depthwise"] = "conv"  # X; what the dilated branches are made of
    msle_mid: float = 0.5  # X; width of a dilated branch over C ("depthwise" keeps C)
    msle_layout: Literal["parallel", "cascade"] = "parallel"  # X; eq. 12 read side by side, or in a row
    fuse: Literal["sum", "concat"] = "sum"  # X; how the two branches are joined
    context: Literal["nested", "collapsed"] = "nested"  # P is nested: eq. 9 inside eq. 8; lean presets merge them
    state_size: int = 16  # X; N of the selective scan
    dt_rank_divisor: int = 16  # X; rank of the step-size projection is C / this

    # Neck and head.
    neck_width: int = 256  # X; channels of the laterals and everything after
    cam_where: Literal["deepest", "laterals", "backbone"] = "deepest"  # X
    cam_kernels: tuple[int, ...] = (5, 7, 9)  # P: from 5, two more each level; X: three levels
    cam_query: bool = False  # X; FocalNet's query product, left out by the paper
    cam_global: bool = False  # X; FocalNet's global-average level, left out by the paper
    cu_width: int = 256  # X; channels inside a calibration unit's offset branches
    rb: Literal["project", "concat", "literal"] = "project"  # X; where the residual block of eq. 18 sits
    smooth: bool = True  # X; 3x3 after each fusion, keeps the amplitude from doubling

    def __post_init__(self) -> None:
        """Turns JSON's lists into tuples and checks every field."""
        hints = get_type_hints(type(self))
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, list):
                value = _as_tuple(value)
                object.__setattr__(self, f.name, value)
            hint = hints[f.name]
            if get_origin(hint) is Literal and value not in get_args(hint):
                raise ValueError(f"{f.name}={value!r}: allowed are {', '.join(map(repr, get_args(hint)))}")
            if hint is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{f.name}={value!r}: must be a whole number of 1 or more")
            if hint is bool and not isinstance(value, bool):
                raise ValueError(f"{f.name}={value!r}: must be true or false")
        for name, length in (("widths", 4), ("depths", 2), ("resnet_depths", 2), ("dilations", 2)):
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name}={getattr(self, name)!r}: needs {length} entries")
        if not all(isinstance(n, int) and 1 <= n <= 256 for n in (*self.depths, *self.resnet_depths)):
            raise ValueError(f"depths={self.depths!r}, resnet_depths={self.resnet_depths!r}: from 1 to 256 blocks")
        for width in self.widths:
            if width < 8 or width % 4:
                raise ValueError(f"widths={self.widths!r}: each must be a multiple of 4 and at least 8")
        fixed = LITE0_WIDTHS[: TRUNK_LEVELS[self.trunk]]
        if self.widths[: len(fixed)] != fixed:
            raise ValueError(f"widths={self.widths!r}: with trunk={self.trunk!r} they start with {fixed}")
        for stage in self.dilations:
            for rates in stage:
                if len(rates) != 3 or min(rates) < 1:
                    raise ValueError(f"dilations={self.dilations!r}: each SCFE needs three rates of 1 or more")
        if not self.cam_kernels or any(k < 1 or k % 2 == 0 for k in self.cam_kernels):
            raise ValueError(f"cam_kernels={self.cam_kernels!r}: needs at least one kernel size, all odd")
        if not 0 < self.msle_mid <= 1:
            raise ValueError(f"msle_mid={self.msle_mid!r}: must be in (0, 1]")

    @property
    def name(self) -> str:
        """The network's name in the zoo."""
        return "scgcnet"

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON types (tuples become lists)."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SCGCNetConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: A key is no field of the configuration, or a value is out of range.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}: SCGC-Net has {', '.join(sorted(known))}")
        return cls(**values)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(v) for v in value) if isinstance(value, list) else value


#: The presets by size: what differs from `base`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "stem": "light",
        "stem_width": 24,
        "widths": (32, 64, 96, 160),
        "depths": (1, 2),
        "msle": "bottleneck",
        "msle_mid": 0.5,
        "context": "collapsed",
        "state_size": 1,
        "neck_width": 32,
        "cu_width": 16,
    },
    "small": {
        "stem_width": 48,
        "widths": (96, 192, 384, 768),
        "depths": (2, 3),
        "msle": "bottleneck",
        "msle_mid": 0.25,
        "context": "collapsed",
        "state_size": 1,
        "neck_width": 96,
        "cu_width": 64,
    },
    "lean": {
        "downsample": "conv2",
        "msle": "depthwise",
        "context": "collapsed",
        "state_size": 1,
        "neck_width": 128,
        "cu_width": 128,
    },
    "base": {},
    # Beyond the paper: starts from ImageNet weights.
    "lite0": {
        "trunk": "lite0_deep",
        "widths": LITE0_WIDTHS,
        "msle": "bottleneck",
        "msle_mid": 0.25,
        "context": "collapsed",
        "state_size": 1,
        "neck_width": 48,
        "cu_width": 24,
    },
}


@dataclass(frozen=True)
class Choice:
    """One row of the P/X table: a part of the network, what the paper says of it, and what this study chose."""

    part: str
    paper: str
    chosen: str
    fields: tuple[str, ...] = field(default=())


#: The P/X table of the chapter "The network"; every `fields` entry is a field of `SCGCNetConfig`.
CHOICES: tuple[Choice, ...] = (
    Choice("input", "-", "as normalised for all; for many sources each image on its own", ("standardise",)),
    Choice(
        "stem",
        "convolutions down to H/4",
        "3x3 stride 2 to 32, 3x3 to 32, 3x3 to 64, BN and GELU each, max-pool 3/2",
        ("stem", "stem_width"),
    ),
    Choice(
        "trunk",
        "stem and bottlenecks of ResNet-50; pre-training is not mentioned",
        "as printed, from random weights; or EfficientNet-Lite0's to stride 8 or 32, from ImageNet weights",
        ("trunk",),
    ),
    Choice(
        "stages 1, 2",
        "bottlenecks with GELU (eqs. 3-6)",
        "3 and 4 blocks, widths 256 and 512, mid = out/4, stride in the 3x3, 1x1 + BN projection skip",
        ("widths", "depths"),
    ),
    Choice(
        "stages 3, 4",
        "SCFE blocks; rates of Table III row B6",
        "3x3 stride 2 BN GELU, then two SCFE (one in rows B1, B2)",
        ("dilations", "downsample"),
    ),
    Choice("SCFE", "a context and a spatial branch", "their sum", ("fuse",)),
    Choice(
        "context branch",
        "eqs. 7-9, which nest two projections and two depthwise convolutions",
        "kept literally in base, one of each in the smaller presets; LayerNorm at the input, expansion 1",
        ("context",),
    ),
    Choice(
        "scan",
        "four directions, an S6 scan each, summed (eq. 10)",
        "N = 16, step rank C/16, parameters per direction, S4D-real A, skip D",
        ("state_size", "dt_rank_divisor"),
    ),
    Choice(
        "MSLE",
        "three dilated convolutions, concatenation, 1x1, residual (eqs. 11-12)",
        "in parallel, 3x3 to C/2 BN SiLU each, 1x1 from 1.5C to C with BN",
        ("msle", "msle_mid", "msle_layout"),
    ),
    Choice("laterals", "-", "1x1 to 256 with BN on all four levels", ("neck_width",)),
    Choice(
        "CAM",
        "eqs. 13-17: depthwise 5, 7, ... with SiLU in sequence, gates, linear in and out",
        "three levels, gates linear in X, residual, on the deepest lateral",
        ("cam_where", "cam_kernels", "cam_query", "cam_global"),
    ),
    Choice(
        "calibration unit",
        "eqs. 18-19: two residual blocks give offsets, bilinear sampling, residuals, sum",
        "1x1 to 256, residual block, 3x3 to 2 started at zero; offsets in pixels of the finer grid; "
        "3x3 BN SiLU after the sum; eq. 19 repaired so that both maps are warped",
        ("rb", "cu_width", "smooth"),
    ),
    Choice("head", "-", "3x3 BN SiLU, 1x1 to the classes, bilinear x4"),
    Choice(
        "A1-A7",
        "ResNet-50 and a feature pyramid as the baseline",
        "each flag swaps one part; six and three bottlenecks where HMIE is off",
        ("hmie", "cam", "psccs", "resnet_depths"),
    ),
)
