"""Trained weights that come with the repository, by name; see the model card beside each in `results/weights`."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from scgcnet.checkout import find_checkout
from scgcnet.zoo import WeightsError, load_model

#: Trained on all sources at hand: the one for images from elsewhere.
DEFAULT = "tiny-multisource"
FOLDER = "results/weights"


def pretrained_names() -> list[str]:
    """Names of the weights in the checkout, the default one first."""
    found = sorted(path.stem for path in _folder().glob("*.safetensors"))
    return sorted(found, key=lambda name: name != DEFAULT)


def pretrained_file(name: str = DEFAULT) -> Path:
    """The weights of a name.

    Raises:
        WeightsError: There are none of that name; the message lists those there are.
    """
    path = _folder() / f"{name}.safetensors"
    if name not in pretrained_names():
        known = ", ".join(pretrained_names()) or "none: they come with a checkout of the repository"
        raise WeightsError(f"{path} is not there; the names are {known}")
    return path


def load_pretrained(name: str = DEFAULT) -> nn.Module:
    """A trained network in evaluation mode, of images as `scgcnet.data.EvalTransform` makes them.

    The threshold best on validation, the sources that it saw and the run that made it are in the file's metadata, see
    `zoo.read_metadata(pretrained_file(name))`.

    Raises:
        WeightsError: There are no weights of that name, or the file is damaged.
    """
    return load_model(pretrained_file(name))


def _folder() -> Path:
    return (find_checkout() or Path.cwd()) / FOLDER
