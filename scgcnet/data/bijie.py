"""The Bijie landslide data set (Ji et al., Landslides 17, 2020) in its official layout, and synthetic images in it.

`Bijie-landslide-dataset/landslide/{image,mask}`: RGB images of 61 to 1239 px a side (TripleSat, 0.8 m) and masks of 0
and 255; PNG in the download, lossless copies in another format are read alike. Elevations (`dem`) are not used.
`non-landslide/image` holds 2003 images without landslides, which the paper does not use: `bijie_negatives`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scgcnet.data.pairs import FileDataset, Found, Pair, list_files, match_folders
from scgcnet.data.sample import DatasetError, Split, base_folder, kind_of
from scgcnet.data.splits import committed_split, random_split, read_split, split_faults, write_split
from scgcnet.data.synthetic import DEFAULT_COUNT, VERSION, render, write_pair

RESOLUTION = 0.8  # metres per pixel
N_SPLITS = 3  # of a fake, as for the real data


class Bijie(FileDataset):
    """The landslide images."""

    dataset = "bijie"
    home = "Bijie-landslide-dataset"
    about = (
        "The Bijie landslide data set",
        "http://gpcv.whu.edu.cn/data/Bijie_pages.html",
        "770 pairs, 50 megapixels",
        "none stated; cite Ji et al. 2020",
    )

    @classmethod
    def find(cls, folder: Path) -> Found:
        return match_folders(folder / "landslide" / "image", folder / "landslide" / "mask", resolution=RESOLUTION)

    @classmethod
    def common_faults(cls, folder: Path, pairs: Sequence[Pair]) -> list[str]:
        return split_faults([pair.name for pair in pairs], _split_path(folder, "0"), "bijie split 0") if pairs else []

    def split(self, which: str) -> Split:
        """Read a committed split, or for synthetic images one of those beside them.

        "0" to "2" are drawn over images, as in the paper as far as it says. Many images are crops of one scene and
        show some of the same ground; "grouped-0" is drawn over groups of such (`overlap.ground_groups`).
        """
        return read_split(_split_path(self.folder, which))

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        names = [f"ls_{index:04d}" for index in range(n)]
        for index, name in enumerate(names):
            write_pair(folder / "landslide" / "image", folder / "landslide" / "mask", name, *render(seed, index))
        for number in range(N_SPLITS):
            write_split(folder / "splits" / f"bijie-{number}.csv", random_split(names, number))


class BijieNegatives(FileDataset):
    """The landslide-free images, to count false alarms; their masks are 0 throughout."""

    dataset = "bijie_negatives"
    home, about = Bijie.home, Bijie.about

    @classmethod
    def find(cls, folder: Path) -> Found:
        files, faults = list_files(folder / "non-landslide" / "image")
        return [Pair(stem, file, None, resolution=RESOLUTION) for stem, file in files.items()], faults

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        for index in range(n):
            write_pair(folder / "non-landslide" / "image", None, f"n_{index:04d}", *render(seed, index))


class Synthetic(Bijie):
    """The default synthetic data set, drawn on first use below `root` (default `build/data`)."""

    dataset = "synthetic"
    seed = 0

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        place = base_folder() / "build" / "data" if root is None else Path(root)
        return super().write_fake(place / f"{cls.dataset.replace('_', '-')}-v{VERSION}", DEFAULT_COUNT, cls.seed)

    @classmethod
    def write_fake(cls, root: Path, n: int, seed: int) -> Path:
        raise DatasetError(f"{cls.dataset} is drawn on first use; write a fake in another layout, such as bijie.")


class SyntheticElsewhere(Synthetic):
    """Another draw of the generator, which stands in for a new domain."""

    dataset = "synthetic_elsewhere"
    seed = 1


def _split_path(folder: Path, which: str) -> Path:
    if kind_of(folder) == "synthetic":
        return folder / "splits" / f"bijie-{which}.csv"
    return committed_split("bijie", which)
