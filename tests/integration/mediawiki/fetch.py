"""Fetch Debian's MediaWiki and PHP into a folder without installing anything: `python fetch.py FOLDER`.

apt lists the packages that this machine lacks and downloads them, dpkg-deb unpacks them; neither needs root, and
nothing outside the folder changes. Where apt has no package lists (a fresh container), they are fetched into the
folder too. If that fails, one line on stderr states why and the exit status is 1.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

EXTENSIONS = ("cli", "common", "opcache", "sqlite3", "gd", "apcu", "mbstring", "xml", "intl", "curl")
MODULES = (  # in the order of their dependencies
    "pdo", "sqlite3", "pdo_sqlite", "dom", "xml", "xmlreader", "xmlwriter", "simplexml", "mbstring", "intl", "gd",
    "apcu", "ctype", "fileinfo", "iconv", "posix", "tokenizer", "curl", "sockets", "exif",
)  # fmt: skip
UNWANTED = re.compile(r"apache2|libapache2|libapr|debconf|systemd")
READY = ".ready"


class CannotFetchError(Exception):
    """MediaWiki cannot be fetched; the message is one line."""


def main(folder: Path) -> None:
    """Fill the folder unless it is complete, with `php`, which runs PHP, and MediaWiki in `usr/share/mediawiki`."""
    if (folder / READY).exists():
        return
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise CannotFetchError(f"{tool} is missing, which fetches MediaWiki")
    shutil.rmtree(folder, ignore_errors=True)
    archives = folder / "archives"
    archives.mkdir(parents=True)
    options = separate_lists(folder) if not is_known("mediawiki", []) else []
    php = php_version(options)
    packages = missing_packages(["mediawiki", "mediawiki-classes", *(f"php{php}-{e}" for e in EXTENSIONS)], options)
    apt("apt-get", ["download", "-q", *packages], options, archives)
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True, capture_output=True)
    shutil.rmtree(archives)
    shutil.rmtree(folder / "apt", ignore_errors=True)
    point_links_inside(folder)
    write_php(folder, php)
    (folder / READY).touch()


def apt(tool: str, arguments: list[str], options: list[str], folder: Path | None = None) -> str:
    done = subprocess.run([tool, *options, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotFetchError(f"{tool} {arguments[0]} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout


def is_known(package: str, options: list[str]) -> bool:
    done = subprocess.run(["apt-cache", *options, "show", package], capture_output=True, check=False)
    return done.returncode == 0 and bool(done.stdout)


def separate_lists(folder: Path) -> list[str]:
    """Fetch package lists into the folder; return the options with which apt uses them."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / part).mkdir(parents=True)
    options = [f"-oDir::State::Lists={folder}/apt/lists", f"-oDir::Cache={folder}/apt/cache"]
    apt("apt-get", ["update", "-q"], options)
    if not is_known("mediawiki", options):
        raise CannotFetchError("apt knows no package mediawiki; this needs Debian or a relative of it")
    return options


def php_version(options: list[str]) -> str:
    match = re.search(r"php(\d+\.\d+)-cli", apt("apt-cache", ["depends", "php-cli"], options))
    if match is None:
        raise CannotFetchError("apt names no version of PHP")
    return match[1]


def missing_packages(packages: list[str], options: list[str]) -> list[str]:
    """Return the packages and their dependencies that this machine lacks, without a web server."""
    arguments = ["install", "-s", "--reinstall", "--no-install-recommends", *packages]
    planned = re.findall(r"^Inst (\S+)", apt("apt-get", arguments, options), re.MULTILINE)
    return [name for name in planned if not UNWANTED.match(name)]


def point_links_inside(folder: Path) -> None:
    """Replace the absolute links of the package: remove those into /etc and /var, redirect the extensions'."""
    home = folder / "usr/share/mediawiki"
    for name in ("extensions", "images", "config", "LocalSettings.php"):
        (home / name).unlink(missing_ok=True)
    (home / "extensions").symlink_to("extensions-core")


def write_php(folder: Path, version: str) -> None:
    """Write a script `php` that loads modules and libraries from the folder."""
    modules = next(folder.glob("usr/lib/php/*/pdo_sqlite.so")).parent
    lines = [f"extension_dir={modules}", "zend_extension=opcache"]
    lines += [f"extension={name}" for name in MODULES if (modules / f"{name}.so").exists()]
    (folder / "php.ini").write_text("\n".join(lines) + "\n")
    libraries = ":".join(str(path) for path in sorted(folder.glob("usr/lib/*-linux-gnu*")))
    script = folder / "php"
    script.write_text(
        f'#!/bin/sh\nexport LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" PHP_INI_SCAN_DIR=\n'
        f'exec "{folder}/usr/bin/php{version}" -c "{folder}/php.ini" "$@"\n'
    )
    script.chmod(0o755)


if __name__ == "__main__":
    try:
        target = Path(sys.argv[1]).absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs of one checkout unpack into the same folder
            main(target)
    except CannotFetchError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
