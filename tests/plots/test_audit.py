import numpy as np

from scgcnet import plots
from scgcnet.study.consistency import check_shares
from scgcnet.study.paper import read_paper


def test_shares_show_every_row_and_name_the_far_ones():
    paper = read_paper()
    checks = [check_shares(paper, dataset) for dataset in ("CLD", "GLDD")]
    cld, gldd = plots.implied_shares(checks).axes
    assert (cld.get_title(), gldd.get_title()) == ("CLD: 14.40 to 14.41 %", "HR-GLDD: 10.92 %")
    names = [label.get_text() for label in cld.get_yticklabels()]
    assert (names[0], names[16], names[-1], len(names)) == ("FCN", "Ours", "A8", 25)
    assert len(cld.lines) == 2 * 25 and len(gldd.lines) == 2 * 17  # a bar and a mark for each row
    far = {names[int(note.xy[1])]: note.get_text() for note in cld.texts}
    assert set(far) == {"PSP-Net", "CCNet", "GCNet", "A1", "A2", "A3", "A4", "A5", "A7"}
    assert far["PSP-Net"] == "96.26 → 96.99"
    bar, mark = gldd.lines[:2]  # FCN: 16.51 to 16.53 % of pixels where 10.92 % are agreed
    np.testing.assert_allclose(bar.get_xdata(), [5.588, 5.612], atol=0.01)
    assert (mark.get_color(), mark.get_marker(), list(mark.get_ydata())) == (plots.VERMILION, "D", [0])
    assert {line.get_marker() for line in cld.lines[1::2]} == {"o", "s", "D"}  # told apart without colour
