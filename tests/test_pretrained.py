"""The weights that come with the repository, by name."""

import pytest
import torch

from scgcnet import zoo
from scgcnet.pretrained import DEFAULT, load_pretrained, pretrained_file, pretrained_names
from scgcnet.zoo import WeightsError


def test_the_default_has_seen_all_sources() -> None:
    assert pretrained_names()[0] == DEFAULT == "tiny-multisource"
    metadata = zoo.read_metadata(pretrained_file())
    assert {"bijie", "landslide4sense", "cld", "amunet"} <= set(metadata["sources"].split(", "))
    assert 0 < float(metadata["threshold"]) < 1
    network = load_pretrained()
    assert not network.training
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 70, 90))
    assert logits.shape == (1, 2, 70, 90) and logits.isfinite().all()


def test_weights_by_name() -> None:
    one, other = load_pretrained("tiny-bijie"), zoo.load_model(pretrained_file("tiny-bijie"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for name in ("tiny-mars", "../weights/tiny-bijie", ""):
        with pytest.raises(WeightsError, match="is not there; the names are tiny-multisource, tiny-bijie"):
            load_pretrained(name)
