"""Scenes on servers: addresses that GDAL reads by ranges, and the assets of STAC items."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

from scgcnet.scene.options import SceneError

SCHEMES = ("https://", "http://", "s3://")
REMEDY = "Check the address and the network, and start again, or download the file and map that."
TIMEOUT = 30  # seconds without an answer
VISUAL = ("visual", "rgb", "true_color", "true-color", "truecolor", "tci", "image")  # names of assets, best first
GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # else it asks for files beside the scene
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": str(TIMEOUT),
    "GDAL_HTTP_LOW_SPEED_TIME": str(TIMEOUT),
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
}


class RemoteError(SceneError):
    """A scene on a server cannot be read now; started again, a map of it resumes."""


@dataclass(frozen=True)
class Remote:
    """A raster on a server: its address, its name for GDAL, and a hash of what the server says of its content."""

    url: str
    gdal: str
    sha256: str


def is_url(place: Path | str) -> bool:
    """Whether a scene is named by an address."""
    return str(place).startswith(SCHEMES)


def name_of(place: Path | str) -> str:
    """The name of a scene's file."""
    return Path(urlsplit(str(place)).path).name if is_url(place) else Path(place).name


def gdal_options() -> dict[str, str]:
    """GDAL's options for reading from servers; S3 without a signature where there are no credentials."""
    signs = any(name.startswith(("AWS_ACCESS", "AWS_PROFILE", "AWS_ROLE", "AWS_CONTAINER")) for name in os.environ)
    known = "AWS_NO_SIGN_REQUEST" in os.environ or signs or Path.home().joinpath(".aws", "credentials").exists()
    return GDAL if known else {**GDAL, "AWS_NO_SIGN_REQUEST": "YES"}


def find_raster(url: str, asset: str | None) -> Remote:
    """The raster at an address, which may be that of a STAC item.

    Args:
        url: https, http or s3.
        asset: name of an asset of the item; None for the one to look at.

    Raises:
        RemoteError: the server does not give it.
        SceneError: the item has no such asset.
    """
    answer = _ask(url, first=True)
    if urlsplit(url).path.endswith((".json", ".geojson")) or "json" in answer.get("content-type", ""):
        item, url = url, urljoin(url, _choose_asset(url, _ask(url, first=False)["body"], asset))
        if not is_url(url):
            raise SceneError(f"{item}: its asset {url} is not on a server that is read by https, http or s3")
        answer = _ask(url, first=True)
    elif asset is not None:
        raise SceneError(f"{url} is no STAC item: --asset {asset} names an asset of one")
    if url.startswith("s3://"):
        return Remote(url, f"/vsis3/{url[5:]}", hashlib.sha256(url.encode()).hexdigest())
    signed = any(mark in urlsplit(url).query.lower() for mark in ("sig=", "signature="))  # which expires
    length = answer.get("content-range", "").rpartition("/")[2] or answer.get("content-length", "")
    content = [url.partition("?")[0] if signed else url, answer.get("etag"), answer.get("last-modified"), length]
    return Remote(url, f"/vsicurl/{url}", hashlib.sha256(json.dumps(content).encode()).hexdigest())


def _ask(url: str, first: bool) -> dict[str, str]:
    """What a server says of a file, names in lower case, and its content as `body` unless only the first byte counts.

    A request for one byte, because addresses that carry a signature often allow no other method than GET.
    """
    if url.startswith("s3://"):
        if first:
            return {}
        raise SceneError(f"{url}: a STAC item is read by https or http alone. Name it so.")
    asked = Request(url, headers={"Range": "bytes=0-0"} if first else {})  # noqa: S310  # `is_url` was asked
    try:
        with urlopen(asked, timeout=TIMEOUT) as answer:  # noqa: S310
            told = {name.lower(): value for name, value in answer.headers.items()}
            return told if first else {**told, "body": answer.read().decode("utf-8")}
    except HTTPError as error:
        raise RemoteError(
            f"{url} cannot be read: the server answers {error.code} ({error.reason}). {REMEDY}"
        ) from error
    except (OSError, ValueError) as error:  # no network, no such host, cut short, no text
        raise RemoteError(f"{url} cannot be read ({getattr(error, 'reason', None) or error}). {REMEDY}") from error


def _choose_asset(url: str, text: str, asset: str | None) -> str:
    """The address, perhaps relative, of an asset of a STAC item."""
    try:
        item = json.loads(text)
        assets: Mapping[str, Any] = {name: one for name, one in item["assets"].items() if one.get("href")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SceneError(f"{url} is no STAC item with assets. Name a raster, or an item.") from error
    rasters = {
        name: one
        for name, one in assets.items()
        if "tiff" in one.get("type", "tiff") and not {"thumbnail", "metadata"} & set(one.get("roles") or ())
    }
    by_name = {name.lower(): name for name in rasters}
    wanted = [by_name[name] for name in VISUAL if name in by_name]
    wanted += [name for name, one in rasters.items() if "visual" in (one.get("roles") or ())]
    wanted += list(rasters) if len(rasters) == 1 else []
    if asset is None and not wanted:
        raise SceneError(f"{url}: name the asset to map with --asset; there are {', '.join(assets) or 'none'}")
    if asset is not None and asset not in assets:
        raise SceneError(f"{url} has no asset {asset}; there are {', '.join(assets) or 'none'}")
    return str(assets[asset or wanted[0]]["href"])
