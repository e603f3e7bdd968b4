"""What it would take to run what was not run: data, and time on a graphics card, estimated and called so."""

from __future__ import annotations

from scgcnet.study.paper import Claim

#: The paper's data sets: what they are, and images to train on at 5:3:2.
DATA = {
    "CLD": ("the whole of CLD (20,865 tiles)", 10_432),
    "HR-GLDD": ("HR-GLDD (1,758 tiles)", 879),
    "Bijie": ("Bijie (770 images)", 385),
    "GVLM": ("GVLM (17 sites) after a training on CLD, HR-GLDD and Bijie together", 11_696),
}
GMAC = 191.8  # of `base` for one image at 512 px, counted (chapter "The network")
EPOCHS = 400
SUSTAINED = 1e14  # operations a second that one large card keeps up in such a training: an assumption

#: Claims that other work than a training would settle.
_OTHER = {
    "fig11": "failures sorted by type, in the paper's protocol (chapter Failure atlas: of small networks)",
    "split": "the paper's split, which is not published",
    "ds_": "the download, and `scgcnet data check`",
    "silu": "trainings with other activations on CLD; the paper gives no numbers",
    "mamba": "the network timed with and without its scan by image size, which no chapter does yet",
    "fig7": "A2, A5 and A8 trained on CLD and their maps measured, as the chapter on modules does with weights at hand",
    "best_all": "all 18 networks on CLD, HR-GLDD and Bijie in the paper's protocol",
}


def gpu_hours(images: int) -> float:
    """Hours on one card for one training of `base` in the paper's protocol on so many images, roughly.

    A training step costs three forward passes; a multiply-accumulate is two operations.
    """
    return 2 * 3 * GMAC * 1e9 * images * EPOCHS / SUSTAINED / 3600


def needed(claim: Claim) -> str:
    """In words, what a verdict on the claim would take."""
    known = DATA.get(claim.dataset)
    by_size = claim.id.startswith("fig10") and known is not None  # accuracy, which costs alone cannot settle
    for prefix, words in _OTHER.items():
        if claim.id.startswith(prefix) and not by_size:
            return words
    if known is None:
        what, images = DATA["Bijie"]
        return f"a training in the paper's protocol, such as on {what}: about {gpu_hours(images):.1f} GPU hours"
    what, images = known
    what += ", at six image sizes" * by_size
    return f"{what}; about {gpu_hours(images):.1f} GPU hours a training of base at 512 px (estimated, not measured)"
