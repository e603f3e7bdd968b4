"""The seventeen comparison methods of the paper's Table I and Sec. IV-B, one file each; see `catalogue`."""

from scgcnet import torchvision_ops  # noqa: F401  # before timm, segmentation-models-pytorch and torchvision

#: Names for `create_model`, in the paper's order; each is a module of this package.
NAMES = (
    "fcn",
    "unet",
    "resunet",
    "pspnet",
    "deeplabv3plus",
    "hrnet",
    "icnet",
    "ccnet",
    "danet",
    "gcnet",
    "segnext",
    "pidnet",
    "segformer",
    "swin",
    "convnext",
    "stunet",
    "vmamba",
)
