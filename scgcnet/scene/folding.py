"""Batch normalisation folded into the convolution before it, for inference."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: nn.Module) -> nn.Module:
    """A copy without the batch normalisations that directly follow a convolution in an `nn.Sequential`.

    In evaluation mode each is a fixed scale and shift of every channel, which the convolution's weights can hold: a
    pass over the map less, for the same logits but for rounding. On a processor windows from 512 px on gain a tenth of
    their time by it, those of 128 px nothing (timed by hand, no stored run).

    Args:
        network: in evaluation mode. It is left as it is.
    """
    network = deepcopy(network)
    for module in network.modules():
        # A class of its own may call its parts in another order.
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            for (name, convolution), (after, norm) in pairwise(list(module.named_children())):
                if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
                    setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                    setattr(module, after, nn.Identity())
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
