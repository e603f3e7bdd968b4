"""Scenes on a server, which this file brings: what is read of them, and what is told if that fails."""

import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
from map_scenes import UTM, mapped
from raster_files import write_raster

from scgcnet.scene import SceneError, remote
from scgcnet.scene.remote import find_raster
from scgcnet.scene.source import Scene

OUTPUTS = ("probability.tif", "mask.tif", "quicklook.png")
PART = (500_200.0, 2_999_500.0, 500_400.0, 2_999_700.0)  # 100 x 100 px from column 100 and row 150


class Handler(BaseHTTPRequestHandler):
    """Files of a folder, by ranges; a folder called `whole` knows none, one called `cut` ends in the middle."""

    def __init__(self, folder: Path, sent: list[int], *arguments: object) -> None:
        self.folder, self.sent = folder, sent
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        kind, _, name = urlsplit(self.path).path.strip("/").rpartition("/")
        path = self.folder / name
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin, end = 0, len(content)
        if asked and kind != "whole":
            begin, end = int(asked[1]), min(int(asked[2] or end) + 1, end)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        else:
            self.send_response(200)
        part = content[begin:end]
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{hash(content)}"')
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if body:
            if kind == "cut" and end > len(content) // 2:
                part = part[: max(0, len(content) // 2 - begin)]
                self.close_connection = True
            self.sent.append(len(part))
            self.wfile.write(part)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[int]]]:
    """Address of a server of the files in tmp_path/files, and the bytes of its answers."""
    monkeypatch.setitem(remote.GDAL, "GDAL_HTTP_RETRY_DELAY", "0.01")
    sent: list[int] = []
    (tmp_path / "files").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, tmp_path / "files", sent))
    server.handle_error = lambda *_: None  # GDAL closes connections that it needs no longer
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def large(tmp_path: Path, served: object) -> Path:
    """600 x 700 px of noise, in tiles."""
    pixels = np.random.default_rng(0).integers(0, 255, (600, 700, 3), np.uint8)
    return write_raster(
        tmp_path / "files" / "large.tif", pixels, tiled=True, blockxsize=64, blockysize=64, compress="deflate", **UTM
    )


@pytest.mark.usefixtures("bright")
class TestMapped:
    def test_as_the_file_is(self, served: tuple[str, list[int]], large: Path, tmp_path: Path) -> None:
        url, sent = served
        far, near = mapped(f"{url}/large.tif", tmp_path / "far"), mapped(large, tmp_path / "near")
        for name in OUTPUTS:
            assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "near" / name).read_bytes()
        assert far.report["landslides"] == near.report["landslides"]
        assert far.report["scene"]["file"] == "large.tif"
        assert sum(sent) < 2 * large.stat().st_size
        assert not mapped(f"{url}/large.tif", tmp_path / "far").fresh

    def test_a_part_reads_a_part(self, served: tuple[str, list[int]], large: Path, tmp_path: Path) -> None:
        url, sent = served
        far = mapped(f"{url}/large.tif?again=1", tmp_path / "far", bounds=PART)
        near = mapped(large, tmp_path / "near", bounds=PART)
        for name in OUTPUTS:
            assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "near" / name).read_bytes()
        assert (far.report["scene"]["width"], far.report["scene"]["height"]) == (100, 100)
        assert far.report["landslides"] == near.report["landslides"]
        assert 0 < sum(sent) < large.stat().st_size / 4
        with rasterio.open(tmp_path / "far" / "mask.tif") as mask, rasterio.open(large) as whole:
            assert tuple(mask.bounds) == PART
            assert (mask.read(1) == (whole.read(1)[150:250, 100:200] > 128)).all()

    def test_a_stac_item(self, served: tuple[str, list[int]], large: Path, tmp_path: Path) -> None:
        url, _ = served
        item = {"assets": {"thumbnail": {"href": "./t.png", "type": "image/png"}, "visual": {"href": "./large.tif"}}}
        (tmp_path / "files" / "item.json").write_text(json.dumps(item))
        done = mapped(f"{url}/item.json", tmp_path / "out", bounds=PART)
        assert done.report["scene"]["file"] == "large.tif"

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("none.tif", r"none\.tif cannot be read: the server answers 404 .*Check the address"),
            ("note.txt", r"note\.txt cannot be read, or not to its end .*Check the address"),
            ("item.json", "name the asset to map with --asset; there are B04, B08"),
            ("list.json", "is no STAC item with assets"),
        ],
    )
    def test_told(self, served: tuple[str, list[int]], large: Path, tmp_path: Path, name: str, told: str) -> None:
        folder = tmp_path / "files"
        (folder / "note.txt").write_text("no raster")
        (folder / "list.json").write_text("[]")
        (folder / "item.json").write_text(json.dumps({"assets": {"B04": {"href": "a.tif"}, "B08": {"href": "b.tif"}}}))
        with pytest.raises(SceneError, match=told):
            mapped(f"{served[0]}/{name}", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_one_that_ends_in_the_middle_resumes(
        self, served: tuple[str, list[int]], large: Path, tmp_path: Path
    ) -> None:
        """What was done is kept for a time when the server gives all of it."""
        with pytest.raises(SceneError, match=r"large\.tif cannot be read, or not to its end .*start again"):
            mapped(f"{served[0]}/cut/large.tif", tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".work"]


def test_a_server_without_ranges(served: tuple[str, list[int]], large: Path) -> None:
    with pytest.raises(SceneError, match=r"Range downloading not supported.*download the file and map that"):
        Scene(f"{served[0]}/whole/large.tif", 3)


def test_the_hash_follows_the_content(served: tuple[str, list[int]], large: Path) -> None:
    url = f"{served[0]}/large.tif"
    before = find_raster(url, None).sha256
    assert find_raster(url, None).sha256 == before != find_raster(f"{url}?other", None).sha256
    assert find_raster(f"{url}?sig=1", None).sha256 == before  # a signature expires
    large.write_bytes(large.read_bytes() + b"\0")
    assert find_raster(url, None).sha256 != before


@pytest.mark.parametrize(
    ("assets", "asset", "told"),
    [
        ({"visual": {"href": "file:///etc/passwd"}}, None, "is not on a server"),
        ({"visual": {"href": "a.tif"}}, "red", "has no asset red; there are visual"),
        ({}, None, "there are none"),
    ],
)
def test_assets_refused(served: tuple[str, list[int]], tmp_path: Path, assets: dict, asset: str, told: str) -> None:
    (tmp_path / "files" / "item.json").write_text(json.dumps({"assets": assets}))
    with pytest.raises(SceneError, match=told):
        find_raster(f"{served[0]}/item.json", asset)


def test_s3(served: tuple[str, list[int]], large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL reads it, here from a server of the same protocol."""
    for name, value in {
        "AWS_S3_ENDPOINT": served[0].removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with Scene("s3://bucket/large.tif", 3) as scene:
        assert scene.shape == (600, 700)
        assert scene.read((0, 10), (0, 10), scene.shape)[0].shape == (10, 10, 3)
