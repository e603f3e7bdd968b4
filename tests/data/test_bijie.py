from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from bijie_files import Write, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scgcnet.data import DatasetError, DatasetNotFoundError, check_dataset
from scgcnet.data.bijie import FOLDER, check_bijie, open_bijie
from scgcnet.data.images import read_image, read_mask

NAMES = ["df003", "hz001", "hz010"]


def image_file(root: Path, name: str) -> Path:
    return root / FOLDER / "landslide" / "image" / f"{name}.png"


def mask_file(root: Path, name: str) -> Path:
    return root / FOLDER / "landslide" / "mask" / f"{name}.png"


def the_error(root: Path) -> str:
    """The one error that decoding everything gives; it must be among those that the check lists."""
    with pytest.raises(DatasetError) as caught:
        list(open_bijie(root))
    assert str(caught.value).split(" (1 more")[0] in " | ".join(check_bijie(root))
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("scale", [255, 1])
def test_values_come_back(write_bijie: Write, suffix: str, scale: int) -> None:
    data = open_bijie(write_bijie(NAMES, suffix=suffix, scale=scale))
    assert data.names == tuple(NAMES)
    assert (data.dataset, data.kind) == ("bijie", "real")
    for index, sample in enumerate(data):
        image, mask = picture(index)
        assert sample.name == NAMES[index]
        assert sample.image.dtype == sample.mask.dtype == np.uint8
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.mask, mask)


def test_png_images_with_one_bit_masks_and_hidden_files(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    Image.fromarray(picture(0)[1] > 0).save(mask_file(root, "df003"))
    assert Image.open(mask_file(root, "df003")).mode == "1"
    (image_file(root, "df003").parent / "._df003.png").write_bytes(b"left by another system")
    (image_file(root, "df003").parent / "Thumbs.db").write_bytes(b"likewise")
    data = open_bijie(root)
    assert data.names == tuple(NAMES)
    np.testing.assert_array_equal(data[0].mask, picture(0)[1])


def test_hash_depends_on_pixels_only(write_bijie: Write, tmp_path: Path) -> None:
    png = open_bijie(write_bijie(NAMES, root=tmp_path / "a")).sha256
    webp = open_bijie(write_bijie(NAMES, root=tmp_path / "b", suffix=".webp")).sha256
    renamed = open_bijie(write_bijie(["ls_0", "ls_1", "ls_2"], root=tmp_path / "c")).sha256
    assert png == webp == renamed
    assert len(png) == 64

    changed = picture(1)[0]
    changed[0, 0, 0] ^= 1
    Image.fromarray(changed).save(image_file(tmp_path / "a", "hz001"))
    assert open_bijie(tmp_path / "a").sha256 != png

    flipped = 255 * (1 - picture(2)[1])
    Image.fromarray(flipped).save(mask_file(tmp_path / "c", "ls_2"))
    assert open_bijie(tmp_path / "c").sha256 != png


def test_samples_are_shared_and_cannot_be_changed(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    data = open_bijie(root)
    assert open_bijie(root)[1] is data[1]
    assert data[-1] is data[2]
    with pytest.raises(IndexError):
        data[3]
    with pytest.raises(ValueError, match="read-only"):
        data[0].image[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        data[0].mask[0, 0] = 0


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        open_bijie(tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path / FOLDER), "gpcv.whu.edu.cn", "770 pairs", "licence: none stated", "SCGCNET_DATA"):
        assert part in message
    assert check_bijie(tmp_path) == [message]


def test_missing_subfolder_and_empty_one(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    masks = mask_file(root, "df003").parent
    for file in masks.iterdir():
        file.unlink()
    assert f"{masks} is empty" in the_error(root)
    masks.rmdir()
    assert f"{masks} is missing" in the_error(root)


def test_truncated_image(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    path = image_file(root, "hz001")
    path.write_bytes(path.read_bytes()[:-60])
    message = the_error(root)
    assert message.startswith(f"{path} cannot be decoded, it is truncated or damaged")
    assert "Copy the file again" in message


def test_file_that_is_no_image(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    mask_file(root, "hz001").write_text("<html>404</html>")
    assert f"{mask_file(root, 'hz001')} cannot be decoded" in the_error(root)


def test_unpaired_image_and_mask(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    mask_file(root, "hz010").unlink()
    assert the_error(root).startswith(f"{image_file(root, 'hz010')} has no mask hz010.*")
    image_file(root, "hz010").unlink()
    image_file(root, "df003").unlink()
    assert the_error(root).startswith(f"{mask_file(root, 'df003')} has no image df003.*")


def test_one_name_twice(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    Image.fromarray(picture(0)[0]).save(image_file(root, "df003").with_suffix(".webp"), lossless=True)
    assert "df003.webp: df003.png has the same name" in the_error(root)


def test_mask_value_of_7(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    mask = 255 * picture(0)[1]
    mask[3, 3] = 7
    Image.fromarray(mask).save(mask_file(root, "df003"))
    message = the_error(root)
    assert message.startswith(f"{mask_file(root, 'df003')}: mask values must be 0 and 255 (or 0 and 1), found 7.")


def test_size_mismatch(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    Image.fromarray(picture(0, 9, 8)[1] * np.uint8(255)).save(mask_file(root, "df003"))
    message = the_error(root)
    assert f"{mask_file(root, 'df003')}: the mask is 8x9 px, but its image df003.png is 7x9 px" in message


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_wrong_channel_count_of_an_image(write_bijie: Write, mode: str) -> None:
    root = write_bijie(NAMES)
    Image.new(mode, (7, 9)).save(image_file(root, "df003"))
    channels = 4 if mode == "RGBA" else 1
    message = the_error(root)
    assert f"{image_file(root, 'df003')}: an image must have 3 channels" in message
    assert f"this one has {channels} (Pillow mode {mode})" in message


def test_coloured_mask(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    Image.new("RGB", (7, 9), (255, 0, 0)).save(mask_file(root, "df003"))
    assert f"{mask_file(root, 'df003')}: a mask must have 1 channel" in the_error(root)


@pytest.mark.parametrize("limit", [40, 20])  # Pillow warns above the limit and raises above twice the limit
def test_decompression_bomb(write_bijie: Write, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    root = write_bijie(NAMES)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    message = the_error(root)
    assert message.startswith(f"{image_file(root, 'df003')}: the file claims more than {limit} pixels")


def test_check_lists_every_fault(write_bijie: Write) -> None:
    root = write_bijie(["a", "b", "c", "d", "e"])
    image_file(root, "a").write_bytes(image_file(root, "a").read_bytes()[:70])
    Image.new("L", (7, 9), 7).save(mask_file(root, "a"))
    mask_file(root, "b").unlink()
    Image.new("RGBA", (7, 9)).save(image_file(root, "c"))
    Image.new("L", (3, 3)).save(mask_file(root, "d"))
    faults = check_dataset("bijie", root)
    expected = ["b.png has no mask", "a.png cannot be decoded", "found 7", "c.png: an image must", "is 3x3 px"]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    # Beside those there are not 770 pairs.
    assert len(faults) == len(expected) + 1
    assert "the folder holds 4 pairs" in faults[-1]
    with pytest.raises(DatasetError, match=r"b.png has no mask"):
        open_bijie(root)


def bomb() -> bytes:
    """A real one: 60,000 x 60,000 px in 230 bytes, as the header says; nothing is simulated."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bomb(), "claims more than"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 7\n", "cannot be decoded"),  # would reach Ghostscript
        (b"", "cannot be decoded"),
    ],
)
def test_a_crafted_image_is_one_error(write_bijie: Write, content: bytes, message: str) -> None:
    root = write_bijie(NAMES)
    image_file(root, "df003").write_bytes(content)
    assert f"{image_file(root, 'df003')}" in (text := the_error(root)) and message in text


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of what it can read all the same
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_an_image_of_its_kind_or_one_error(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    """Cut or with some bits changed: never another exception than ours."""
    buffer = io.BytesIO()
    Image.fromarray(picture(0, 24, 20)[0]).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    content = bytearray(buffer.getvalue())
    content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for read, shape in ((read_image, 3), (read_mask, 2)):
        try:
            array = read(path)
        except DatasetError as error:
            assert str(path) in str(error)
        else:
            assert array.dtype == np.uint8 and array.ndim == shape


def test_no_flipped_bit_of_a_png_goes_unnoticed(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    file = mask_file(root, "df003")
    content, truth = file.read_bytes(), open_bijie(root)[0].mask
    errors = 0
    for place in range(8, len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read_mask(file), truth)
        except DatasetError as error:
            assert str(file) in str(error)
            errors += 1
    assert errors >= len(content) - 20  # all but the signature, which the range leaves out, and the closing chunk


def test_a_pipe_is_not_waited_for(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    mask_file(root, "df003").unlink()
    os.mkfifo(mask_file(root, "df003"))
    assert "df003.png is not a file, or leads to none" in the_error(root)


def test_a_placeholder_of_one_pixel(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    Image.new("RGB", (1, 1)).save(image_file(root, "df003"))
    Image.new("L", (1, 1)).save(mask_file(root, "df003"))
    assert "df003.png has 1x1 px, which shows nothing" in the_error(root)


def test_a_mask_that_is_to_be_turned(write_bijie: Write) -> None:
    root = write_bijie(NAMES)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(picture(0)[1]).save(mask_file(root, "df003"), exif=exif)
    assert "df003.png: the file says that it is to be turned when shown" in the_error(root)
