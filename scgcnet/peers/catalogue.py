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
        others = "".join(f", {key} {value}" for key, value in self.options.items() if key != "num_classes")
        classes = self.options.get("num_classes", 2)
        return f"{self.size}{others}, {classes} class{'es' * (classes != 1)}, {self.shape[0]}x{self.shape[1]}"


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
        idea="A classification network made fully convolutional: it names the class of every pixel of a tile at once.",
        taken_from="timm (ResNet-50), head after torchvision",
        licence="Apache-2.0, BSD-3-Clause",
        references=(Reference("torchvision 0.28, fcn_resnet50", "35.32", "138.4", options={"num_classes": 21}),),
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
        idea="Judges a pixel by its surroundings too: averages over the whole tile and grids of 4, 9 and 36 cells.",
        taken_from="written from the paper on timm (ResNet-50)",
        licence="Apache-2.0",
        references=(Reference("mmsegmentation 1.x, pspnet_r50-d8", "49.08", "178.6", options={"num_classes": 150}),),
    ),
    "deeplabv3plus": Entry(
        title="DeepLabV3+",
        year=2018,
        idea="Looks around a pixel at several distances at once, then sharpens the outline with an early, finer map.",
        taken_from="segmentation-models-pytorch on timm (ResNet-50)",
        licence="MIT, Apache-2.0",
        references=(
            Reference(
                "segmentation-models-pytorch 0.6, its default of 1 class", "26.68", "36.6", options={"num_classes": 1}
            ),
        ),
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
        idea="Made for speed: a deep network reads the reduced image, shallow ones mend the outline from finer images.",
        taken_from="written from the paper on timm (ResNet-50)",
        licence="Apache-2.0",
        references=(Reference("mmsegmentation 1.x, icnet_r50-d8", "47.83", "15.4", options={"num_classes": 19}),),
    ),
    "ccnet": Entry(
        title="CCNet",
        year=2019,
        idea="Every pixel gathers context from its row and its column; done twice, that reaches the whole image.",
        taken_from="written from the paper, on timm's ResNet",
        licence="Apache-2.0",
        references=(Reference(f"{MMSEG}, ccnet_r50-d8 (ADE20K)", "49.93", "201.2", options={"num_classes": 150}),),
    ),
    "danet": Entry(
        title="DANet",
        year=2019,
        idea="Every pixel gathers context from all pixels like it, however far; every channel, from all channels.",
        taken_from="written from the paper, on timm's ResNet",
        licence="Apache-2.0",
        references=(Reference(f"{MMSEG}, danet_r50-d8 (ADE20K)", "50.08", "211.7", options={"num_classes": 150}),),
    ),
    "gcnet": Entry(
        title="GCNet",
        year=2019,
        idea="One summary of the whole image, weighted by what matters in it, is added to every pixel.",
        taken_from="written from the paper, on timm's ResNet",
        licence="Apache-2.0",
        references=(Reference(f"{MMSEG}, gcnet_r50-d8 (ADE20K)", "49.73", "197.9", options={"num_classes": 150}),),
    ),
    "segnext": Entry(
        title="SegNeXt",
        year=2022,
        idea="Weighs each place by long thin strips of ground around it, and keeps the patterns that an image repeats.",
        taken_from="written from the paper, with the widths and ranks of the authors' code",
        licence="Apache-2.0",
        references=(
            # mmsegmentation's b and l inherit the rank 16 of its t; the authors' own have 64.
            Reference(
                "mmsegmentation 1.x, its code counted", "27.64", "32.7", options={"num_classes": 150, "rank": 16}
            ),
            Reference("the authors' repository, README", "28", "35", options={"num_classes": 150}),
            Reference("mmsegmentation 1.x, its code counted", "4.26", "6.4", size="t", options={"num_classes": 150}),
            Reference("mmsegmentation 1.x, its code counted", "13.93", "15.6", size="s", options={"num_classes": 150}),
            Reference(
                "mmsegmentation 1.x, its code counted",
                "48.93",
                "66.0",
                size="l",
                options={"num_classes": 150, "rank": 16},
            ),
        ),
    ),
    "pidnet": Entry(
        title="PIDNet",
        year=2023,
        idea="A branch each for details, context and boundaries: at boundaries details count, elsewhere context.",
        taken_from="written from the paper and its authors' code (XuJiacong/PIDNet)",
        licence="MIT",
        references=tuple(
            Reference(
                "the authors' code, without the heads of training",
                params,
                gmac,
                size=size,
                options={"num_classes": 19},
                shape=(1024, 2048),
                auxiliary=False,
            )
            for size, params, gmac in (("paper", "7.63", "47.2"), ("m", "28.54", "177.3"), ("l", "36.94", "274.9"))
        ),
    ),
    "segformer": Entry(
        title="SegFormer",
        year=2021,
        idea="Each place looks at a coarse copy of the whole image, at four resolutions that a light decoder joins.",
        taken_from="transformers, SegformerForSemanticSegmentation",
        licence="Apache-2.0",
        references=(
            # The table prints encoder and decoder apart: 24.2 and 3.3, 3.4 and 0.4.
            Reference("Xie et al. 2021, Table 1", "27.5", "62.4", options={"num_classes": 150}),
            Reference("Xie et al. 2021, Table 1", "3.8", "8.4", size="b0", options={"num_classes": 150}),
        ),
    ),
    "swin": Entry(
        title="Swin Transformer",
        year=2021,
        idea="Patches attend to each other within small windows, and shifted windows pass on what they learn.",
        taken_from="timm; UPerNet from segmentation-models-pytorch",
        licence="Apache-2.0 (timm), MIT (UPerNet)",
        references=(
            Reference(
                "Liu et al. 2022 (ConvNeXt), Table 4", "121", "1188", options={"num_classes": 150}, shape=(512, 2048)
            ),
            Reference(
                "Liu et al. 2022 (ConvNeXt), Table 4",
                "60",
                "945",
                size="t",
                options={"num_classes": 150},
                shape=(512, 2048),
            ),
            Reference(
                "segmentation-models-pytorch 0.6, tu-swin_tiny_patch4_window7_224",
                "59.02",
                "236.9",
                size="t",
                options={"num_classes": 150},
                auxiliary=False,
            ),
        ),
    ),
    "convnext": Entry(
        title="ConvNeXt",
        year=2022,
        idea="A purely convolutional network rebuilt after the transformers: large 7x7 kernels, one per channel.",
        taken_from="timm; UPerNet from segmentation-models-pytorch",
        licence="Apache-2.0 (timm), MIT (UPerNet)",
        references=(
            Reference("Liu et al. 2022, Table 4", "122", "1170", options={"num_classes": 150}, shape=(512, 2048)),
            Reference(
                "Liu et al. 2022, Table 4", "60", "939", size="t", options={"num_classes": 150}, shape=(512, 2048)
            ),
            Reference(
                "segmentation-models-pytorch 0.6, tu-convnext_tiny",
                "59.32",
                "234.6",
                size="t",
                options={"num_classes": 150},
                auxiliary=False,
            ),
        ),
    ),
    "stunet": Entry(
        title="ST-UNet",
        year=2022,
        idea="A Swin transformer beside a U-Net's encoder tells it the wider context at every stage.",
        taken_from="written from the paper's abstract and accounts of it",
        licence="-",
        references=(
            Reference("He et al. 2022", "168.83", "", options={"num_classes": 6}, shape=(256, 256), tolerance=0.05),
        ),
    ),
    "vmamba": Entry(
        title="VMamba",
        year=2024,
        idea="Every pixel hears of the whole image through scans along rows and columns, at a cost linear in its size.",
        taken_from="written from the paper on this study's scan; UPerNet from segmentation-models-pytorch",
        licence="- (backbone), MIT (UPerNet)",
        references=(
            Reference(
                "Liu et al. 2024, Sec. 5.2 (s2l15)", "122", "1170", options={"num_classes": 150}, shape=(512, 2048)
            ),
            Reference(
                "Liu et al. 2024, Sec. 5.2 (s1l8)",
                "62",
                "949",
                size="t",
                options={"num_classes": 150},
                shape=(512, 2048),
            ),
        ),
    ),
    "scgcnet": Entry(
        title="SCGC-Net",
        year=2025,
        idea="A selective scan sees far, dilated convolutions see detail; levels are warped before they are added.",
        taken_from="written from the paper",
        licence="Apache-2.0",
        references=(
            Reference(
                "the paper's Fig. 10 (the size base was fitted to it)", "", "3066", size="base", shape=(2048, 2048)
            ),
        ),
    ),
}
