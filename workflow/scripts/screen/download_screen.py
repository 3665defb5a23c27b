"""Download a screen and check its size and checksum before it gets its name."""

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from lcd_core.atomic import atomic
from lcd_core.errors import InputError

BLOCK = 2**20
TIMEOUT = 60.0  # seconds without a byte
PROGRESS_INTERVAL = 10.0  # seconds between lines


def main(*, screen: str, url: str, size: int | None, md5: str | None, sha256: str | None) -> None:
    """Fetch a file by http, https, ftp or file address.

    Parameters
    ----------
    screen
        Where to write it.
    url
        Its address.
    size
        Its size in bytes; None leaves it unchecked.
    md5, sha256
        Its checksums; empty or None leaves one unchecked.

    Raises
    ------
    InputError
        If it cannot be fetched, or is not the file expected; nothing is left under its name.
    """
    with atomic(screen) as temporary:
        found = fetch(url, temporary)
        expected = {"size in bytes": size, "MD5": md5, "SHA-256": sha256}
        for name, value in expected.items():
            if value and str(value).lower() != str(found[name]):
                raise InputError(
                    f"the download has another {name} than expected; it was discarded",
                    where=url,
                    found=f"expected {value}, found {found[name]}"
                    + ("" if name == "size in bytes" else f" ({found['size in bytes']:,} bytes)"),
                    remedy="run the same command again; if it stays so, the file behind the "
                    "address has changed: compare with its publisher's values, then correct "
                    "screen.url, screen.size, screen.md5 or screen.sha256",
                )
    logging.info("%s: %s bytes, checked", screen, f"{found['size in bytes']:,}")


def fetch(url: str, path: Path) -> dict[str, int | str]:
    """Copy what is at the address to a file; return its size and checksums."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    done = 0
    last = time.monotonic()
    logging.info("downloading %s", url)
    with open(path, "wb") as output:
        for block, announced in blocks(url):
            output.write(block)
            md5.update(block)
            sha256.update(block)
            done += len(block)
            if time.monotonic() - last >= PROGRESS_INTERVAL:
                last = time.monotonic()
                logging.info("%s of %s bytes", f"{done:,}", f"{announced:,}" if announced else "?")
    return {"size in bytes": done, "MD5": md5.hexdigest(), "SHA-256": sha256.hexdigest()}


def blocks(url: str) -> Iterator[tuple[bytes, int]]:
    """Yield what is at the address piece by piece, each with the size announced (0: unknown).

    A generator, so that errors of the network are told apart from those of the disk written to.
    """
    done = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            announced = int(response.headers.get("Content-Length") or 0)
            while block := response.read(BLOCK):
                done += len(block)
                yield block, announced
    except urllib.error.HTTPError as error:
        raise InputError(
            "the server refuses the download",
            where=url,
            found=f"HTTP {error.code} {error.reason}",
            remedy="open the address in a browser; correct screen.url, or download the file by "
            "hand and set screen.kind to file",
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            "the download failed",
            where=url,
            found=f"{reason} after {done:,} bytes",
            remedy="check the address (screen.url), the connection and any proxy, and run the "
            "same command again; or download the file by hand and set screen.kind to file",
        ) from error
    if done < announced:
        raise InputError(
            "the connection ended before the whole file had come",
            where=url,
            found=f"{done:,} of {announced:,} bytes",
            remedy="run the same command again",
        )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
