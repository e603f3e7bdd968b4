"""The seventeen comparison methods of the paper's Table I and Sec. IV-B, one file each.

networks.csv: their papers' ideas, years, and the source and licence of each implementation. counts.csv: parameters and
multiply-accumulates that others published; tests and `scgcnet peers` compare ours with them.
"""

from scgcnet import torchvision_ops  # noqa: F401  # before timm, segmentation-models-pytorch and torchvision

#: Class by name for `create_model`, in the paper's order; the name is that of its module.
NETWORKS = {
    "fcn": "FCN",
    "unet": "UNet",
    "resunet": "ResUNet",
    "pspnet": "PSPNet",
    "deeplabv3plus": "DeepLabV3Plus",
    "hrnet": "HRNet",
    "icnet": "ICNet",
    "ccnet": "CCNet",
    "danet": "DANet",
    "gcnet": "GCNet",
    "segnext": "SegNeXt",
    "pidnet": "PIDNet",
    "segformer": "SegFormer",
    "swin": "SwinUPerNet",
    "convnext": "ConvNeXtUPerNet",
    "stunet": "STUNet",
    "vmamba": "VMambaUPerNet",
}

#: Not compared in the paper: what a user would pick instead, in `lite0.py`.
RIVALS = {"unet_lite0": "UNetLite0", "fpn_lite0": "FPNLite0"}
