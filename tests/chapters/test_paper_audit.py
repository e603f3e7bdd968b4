"""The tables of the chapter "The paper under audit"."""

import pytest
import torch

from scgcnet.chapters import paper_audit
from scgcnet.model.psccs import CalibrationUnit, upsample_to, warp
from scgcnet.study.paper import read_paper


@pytest.fixture(scope="module")
def paper():
    return read_paper()


def test_rows_that_do_not_fit_and_all(paper):
    off = paper_audit.row_table(paper, off_only=True).frame
    assert off[["Row", "F1 by P and R", "IoU by F1", "One number mends it"]].to_csv(index=False) == (
        "Row,F1 by P and R,IoU by F1,One number mends it\n"
        '"CCNet, CLD",90.65 to 90.66,82.94 to 82.96,"P 92.09 to 92.11, or R 89.36 to 89.37"\n'
        '"GCNet, CLD",89.99 to 90.00,81.91 to 81.93,F1 89.99\n'
        'A2,91.19 to 91.20,83.82 to 83.83,"F1 91.19, or IoU 83.82"\n'
        "A3,89.56 to 89.57,81.15 to 81.17,F1 89.56 to 89.57\n"
    )
    assert paper_audit.row_table(paper, off_only=False).frame["Fits"].value_counts().to_dict() == {"yes": 62, "no": 4}


def test_shares_and_outliers(paper):
    checks = paper_audit.share_checks(paper)
    assert paper_audit.share_table(checks).frame.to_csv(index=False) == (
        "Test set,Share agreed on,Rows of Table I that allow it,Median over all rows,Far off,Just off\n"
        "CLD,14.40 to 14.41,11 of 17,14.42,9,4\nHR-GLDD,10.92,12 of 17,10.92,1,4\nBijie,8.66,16 of 17,8.66,1,0\n"
    )
    outliers = paper_audit.outlier_table(checks).frame
    assert outliers["Row"].tolist()[:2] == ["FCN, HR-GLDD", "FCN, Bijie"]
    assert outliers["How far"].tolist() == ["far"] * 11 + ["just"] * 8


def test_panels_are_in_points_from_the_agreed_share(paper):
    panels, agreed = paper_audit.share_panels(paper_audit.share_checks(paper))
    assert list(panels) == list(agreed) == ["CLD: 14.40 to 14.41 %", "HR-GLDD: 10.92 %", "Bijie: 8.66 %"]
    fcn = panels["HR-GLDD: 10.92 %"].iloc[0]  # 16.51 to 16.53 % of pixels where 10.92 % are agreed
    assert (fcn["name"], fcn.off, fcn.text) == ("FCN", "far", "91.23 → 94.20")
    assert (fcn.low, fcn.high) == pytest.approx((5.588, 5.612), abs=0.01)
    assert sum(agreed["CLD: 14.40 to 14.41 %"]) == pytest.approx(0)


def test_equation_24(paper):
    table = paper_audit.equation_24_table(paper).frame
    assert table["Test set"].tolist() == ["CLD", "HR-GLDD", "Bijie"] and table["Rows"].tolist() == [25, 17, 17]
    assert table["Fit TP / (TP + FP + FN)"].tolist() == [24, 17, 17]  # all but CCNet on CLD
    assert table["Least gap to the tables"].astype(float).min() > 40


@pytest.mark.parametrize("seed", [0, 1])
def test_equation_19_repairs_agree_and_the_print_does_not(seed):
    printed, repairs, unmoved, moved = map(float, paper_audit.equation_19_table(seed).frame["Largest difference"])
    assert printed > 1 and repairs < 1e-5 and unmoved == 0 and moved > 1


def test_the_network_computes_the_first_repair():
    torch.manual_seed(0)
    unit = CalibrationUnit(4, 4, "literal").eval()
    coarse, fine = torch.randn(1, 4, 6, 8), torch.randn(1, 4, 12, 16)
    upsampled = upsample_to(coarse, fine)
    up, down = unit.offsets(torch.cat([upsampled, fine], dim=1)).chunk(2, dim=1)
    torch.testing.assert_close(unit(upsampled, fine), warp(upsampled, up) + upsampled + warp(fine, down) + fine)


def test_split_identical_rows_and_methods(paper):
    split = paper_audit.split_table(paper).frame
    assert split["Part"].tolist() == ["training", "validation", "test", "all"]
    assert split["Difference"].tolist() == ["-5", "-69", "+70", "-4"]
    same = paper_audit.identical_table(paper).frame
    assert same["Rows"].tolist() == ["Ours, CLD (Table I), A8 (Table II), B6 (Table III), B7 (Table III)"]
    assert paper_audit.methods_note(paper).text.endswith("Missing: SegNeXt.")


def test_claims_recomputed(paper):
    table = paper_audit.claim_check_table(paper).frame
    assert table["Result"].tolist() == ["does not hold"] * 5 + ["holds"] * 25
    assert table.set_index("Claim")["Claimed"][["fig10_saving_lo", "best_all_metrics"]].tolist() == ["30 %", "-"]


def test_growth(paper):
    table = paper_audit.growth_table(paper, {128: 12.0, 2048: 3072.0}).frame.set_index("Network")
    columns = ["128 px", "2048 px", "Growth, 128 to 2048 px", "GMAC at 2048 px", "3066 is less by"]
    assert table.loc["DANet-R50", columns].tolist() == ["769", "1357", "+76 %", "5691", "46.1 %"]
    assert table.loc["SCGC-Net base (fitted)", columns].tolist() == ["732", "732", "+0 %", "3072", "-"]
