"""Orthophotos of Sichuan with expert outlines (Zeng et al., China Scientific Data 7, 2022), 25 of its 107 scenes.

`Sichuan-landslide/{image,mask}`: RGB of 1024 px (0.23 to 1.04 m) and masks of 0 and 255; `groups.csv` (name, site)
names scenes of one site, which belong into one part. Neighbouring scars are not always outlined.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from scgcnet.data.pairs import FileDataset, Found, match_folders
from scgcnet.data.sample import Split
from scgcnet.data.splits import grouped_split, seeded
from scgcnet.data.synthetic import render, write_pair

GROUPS = "groups.csv"


class Sichuan(FileDataset):
    """All scenes."""

    dataset = "sichuan"
    home = "Sichuan-landslide"
    about = ("Sichuan-landslide", "https://doi.org/10.11922/sciencedb.j00001.00222", "25 pairs, 20 MB", "CC BY 4.0")

    @classmethod
    def find(cls, folder: Path) -> Found:
        pairs, faults = match_folders(folder / "image", folder / "mask")
        try:
            with (folder / GROUPS).open(encoding="utf-8", newline="") as file:
                sites = {row["name"]: row["site"] for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError) as error:
            return pairs, [*faults, f"{folder / GROUPS} cannot be read ({error}); copy it again from the download."]
        faults += [f"{folder / GROUPS} has no site for {pair.name}." for pair in pairs if pair.name not in sites]
        return [replace(pair, site=sites.get(pair.name, "")) for pair in pairs], faults

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2 over sites, "grouped-SEED"; "0" means "grouped-0"."""
        return grouped_split(self.names, self.sites, seeded(which, ("grouped",), self.dataset)[1])

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        names = [f"landslide{index:03d}" for index in range(n)]
        for index, name in enumerate(names):
            write_pair(folder / "image", folder / "mask", name, *render(seed, index))
        rows = "".join(f"{name},{index // 2:03d}\n" for index, name in enumerate(names))
        (folder / GROUPS).write_text(f"name,site\n{rows}", encoding="utf-8")
