"""Who is who: every network of the study with its paper, its idea, and a published count that proves it right.

`references` are counts that somebody else made of the same network; ours must agree within `tolerance`. The options
give the reference's own number of classes and heads, since parameters depend on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PARAMS_TOLERANCE = 0.005
GMAC_TOLERANCE = 0.03
MMSEG = "mmsegmentation 1.x model zoo"


@dataclass(frozen=True)
class Reference:
    """One published count.

    Attributes:
        source: who counted.
        params: millions of parameters, as printed; empty where none was given.
        gmac: billions of multiply-accumulates, as printed; empty where none was given.
        size: our preset.
        options: what differs from it in the reference, such as its number of classes.
        shape: height and width of the image that was counted, pixels.
        auxiliary: whether the parameters include the heads that only training uses; the GMAC never do.
        tolerance: replaces both usual tolerances where the reference has no public code.
    """

    source: str
    params: str
    gmac: str
    size: str = "paper"
    options: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, int] = (512, 512)
    auxiliary: bool = True
    tolerance: float | None = None

    @property
    def label(self) -> str:
        """What was counted, in print."""
        return f"{self.size}, {self.options.get('num_classes', 2)} classes, {self.shape[1]}x{self.shape[0]}"


def allowed(printed: str, relative: float) -> float:
    """How far a count may lie from a printed one: the relative tolerance, or the rounding of one or two digits."""
    digits = printed.replace(".", "").lstrip("0")
    unit = 10.0 ** -len(printed.partition(".")[2])
    return unit / 2 if len(digits) <= 2 else relative * float(printed)


@dataclass(frozen=True)
class Entry:
    """One network.

    Attributes:
        title: as the paper writes it.
        year: of its publication.
        idea: in a sentence.
        taken_from: the library that its code is from, or that it was written from its paper.
        licence: of that source.
        references: published counts; the first is the row's own.
    """

    title: str
    year: int
    idea: str
    taken_from: str
    licence: str
    references: tuple[Reference, ...]


#: By name in the zoo.
ENTRIES: dict[str, Entry] = {
    "fcn": Entry(
        title="FCN",
        year=2015,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference("torchvision 0.28", "35.32", "138.4", options={"num_classes": 21}),),
    ),
    "unet": Entry(
        title="U-Net",
        year=2015,
        idea="Every level of the encoder hands its map to a mirrored decoder, so that fine outlines survive.",
        taken_from="written from the paper, layer for layer as mmsegmentation's UNet-S5-D16",
        licence="Apache-2.0 (mmsegmentation)",
        references=(Reference(f"{MMSEG}, fcn_unet_s5-d16", "29.06", "202.6", options={"num_classes": 19}),),
    ),
    "resunet": Entry(
        title="ResUNet",
        year=2018,
        idea="A U-Net whose blocks only learn what to add to their input; made to trace roads.",
        taken_from="written from the paper",
        licence="-",
        references=(Reference("Zhang et al. 2018, Sec. III", "7.8", "", options={"num_classes": 1}),),
    ),
    "pspnet": Entry(
        title="PSPNet",
        year=2017,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference(MMSEG, "49.08", "178.6", options={"num_classes": 150}),),
    ),
    "deeplabv3plus": Entry(
        title="DeepLabV3+",
        year=2018,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference("segmentation-models-pytorch 0.6", "26.68", "36.6", options={"num_classes": 150}),),
    ),
    "hrnet": Entry(
        title="HRNet",
        year=2019,
        idea="A fine map is kept throughout beside three coarser ones, and all four keep exchanging what they find.",
        taken_from="timm's HRNet without its classifier; the head written as mmsegmentation's",
        licence="Apache-2.0 (timm, mmsegmentation), MIT (the original)",
        references=(
            Reference(f"{MMSEG}, fcn_hr48", "65.95", "95.0", options={"num_classes": 150}),
            Reference(f"{MMSEG}, fcn_hr18", "9.68", "19.0", size="w18", options={"num_classes": 150}),
        ),
    ),
    "icnet": Entry(
        title="ICNet",
        year=2018,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference(MMSEG, "47.83", "15.4", options={"num_classes": 19}),),
    ),
    "ccnet": Entry(
        title="CCNet",
        year=2019,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference(MMSEG, "49.93", "201.2", options={"num_classes": 150}),),
    ),
    "danet": Entry(
        title="DANet",
        year=2019,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference(MMSEG, "50.08", "211.7", options={"num_classes": 150}),),
    ),
    "gcnet": Entry(
        title="GCNet",
        year=2019,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference(MMSEG, "49.73", "197.9", options={"num_classes": 150}),),
    ),
    "segnext": Entry(
        title="SegNeXt",
        year=2022,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(
            Reference("mmsegmentation 1.x", "27.64", "32.7", options={"num_classes": 150}),
            Reference("mmsegmentation 1.x", "4.26", "6.4", size="t", options={"num_classes": 150}),
            Reference("mmsegmentation 1.x", "13.93", "15.6", size="s", options={"num_classes": 150}),
            Reference("mmsegmentation 1.x", "48.93", "66.0", size="l", options={"num_classes": 150}),
        ),
    ),
    "pidnet": Entry(
        title="PIDNet",
        year=2023,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(
            Reference("TODO", "7.63", "47.2", options={"num_classes": 19}, shape=(1024, 2048), auxiliary=False),
            Reference(
                "TODO", "28.54", "177.3", size="m", options={"num_classes": 19}, shape=(1024, 2048), auxiliary=False
            ),
            Reference(
                "TODO", "36.94", "274.9", size="l", options={"num_classes": 19}, shape=(1024, 2048), auxiliary=False
            ),
        ),
    ),
    "segformer": Entry(
        title="SegFormer",
        year=2021,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(
            Reference("Xie et al. 2021, Table 1", "27.5", "62.4", options={"num_classes": 150}),
            Reference("Xie et al. 2021, Table 1", "3.75", "8.4", size="b0", options={"num_classes": 150}),
        ),
    ),
    "swin": Entry(
        title="Swin Transformer",
        year=2021,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference("TODO", "59.02", "236.9", size="t", options={"num_classes": 150}),),
    ),
    "convnext": Entry(
        title="ConvNeXt",
        year=2022,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference("TODO", "59.32", "234.6", size="t", options={"num_classes": 150}),),
    ),
    "stunet": Entry(
        title="ST-UNet",
        year=2022,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(
            Reference("He et al. 2022", "168.83", "", options={"num_classes": 6}, shape=(256, 256), tolerance=0.05),
        ),
    ),
    "vmamba": Entry(
        title="VMamba",
        year=2024,
        idea="TODO",
        taken_from="TODO",
        licence="TODO",
        references=(Reference("Liu et al. 2024", "62", "237", size="t", options={"num_classes": 150}),),
    ),
    "scgcnet": Entry(
        title="SCGC-Net",
        year=2025,
        idea="Context from a four-direction selective scan beside dilated convolutions; levels are warped before they are added.",
        taken_from="written from the paper",
        licence="Apache-2.0",
        references=(
            Reference(
                "the paper's Fig. 10 (the size base was fitted to it)", "", "3066", size="base", shape=(2048, 2048)
            ),
        ),
    ),
}
