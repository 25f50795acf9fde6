"""From what a bundle holds to what is installed of it. Pure."""

from __future__ import annotations

import json

from launcher.bundle.errors import BundleError
from launcher.bundle.lockfile import LockError, parse_lock, relocate_lock, render_lock
from launcher.bundle.manifest import ManifestError, render_manifest, set_channels
from launcher.bundle.model import (
    CHANNEL_DIR,
    CONDA,
    DIFFERS,
    LOCK,
    MANIFESTS,
    MISSING,
    OK,
    PACK,
    REPODATA,
    SOURCE,
    UNPROVEN,
    Listed,
    Project,
)
from launcher.bundle.repodata import RepodataError, find_wheels, parse_repodata
from launcher.config.suggest import render_hint
from launcher.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.bundle.lockfile import Lock
    from launcher.bundle.model import Contents, Digests, Package

PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}
NOARCH = "noarch"
MADE = "made"
AGAIN = "make the bundle again, or copy it again"


@record
class Wish:
    """Which environments of a bundle are wanted, for which platform, and in which folder."""

    environments: tuple[str, ...]
    platform: str
    root: str


def find_platform(machine: str) -> str:
    """Return conda's name of this Linux, by what uname(2) calls the machine.

    Raises:
        BundleError: conda has none.
    """
    if machine not in PLATFORMS:
        raise BundleError(f"there are no conda packages for a '{machine}'", "use another machine")
    return PLATFORMS[machine]


def plan_project(contents: Contents, own: Mapping[str, str], wish: Wish) -> Project:
    """Decide on the manifest, the lock and the packages of each wanted environment.

    `own` are the manifest and lock that the project's folder had before: they are taken where the
    bundle has no manifest.

    Raises:
        BundleError: the bundle cannot be installed as it is wished.
    """
    _check_pack(contents.texts, wish.platform)
    origin, texts = "bundle", contents.texts
    if not _manifest_name(texts):
        origin, texts = ("project", own) if _manifest_name(own) else (MADE, {})
    lock_text = texts.get(LOCK) or contents.texts.get(LOCK, "")
    if lock_text:
        lock = _parse(lock_text)
        chosen = {name: _locked(lock, name, wish.platform) for name in wish.environments}
        written = relocate_lock(lock_text, lock, wish.root)
    else:
        whole = _whole_channel(contents, wish.platform)
        chosen = dict.fromkeys(wish.environments[:1], whole)
        written = render_lock(whole, wish.environments[0], wish.platform, wish.root)
    name = _manifest_name(texts) or MANIFESTS[0]
    return Project(
        manifest_name=name,
        manifest=_manifest(texts.get(name), name, chosen, wish),
        lock=written,
        origin=origin,
        environments=_with_repodata(chosen, contents.texts),
    )


def _manifest_name(texts: Mapping[str, str]) -> str:
    return next((name for name in MANIFESTS if name in texts), "")


def _check_pack(texts: Mapping[str, str], platform: str) -> None:
    if PACK not in texts:
        return
    try:
        pack = json.loads(texts[PACK])
    except ValueError as error:
        raise BundleError(f"its '{PACK}' is not JSON: {error}", AGAIN) from None
    found = pack.get("platform") if isinstance(pack, dict) else None
    if found not in {None, platform}:
        raise BundleError(
            f"it is a bundle for '{found}', and this machine is '{platform}'",
            f"make one with: pixi-pack --platform {platform}",
        )


def _parse(text: str) -> Lock:
    try:
        return parse_lock(text)
    except LockError as error:
        raise BundleError(f"its '{LOCK}' cannot be used: {error}", AGAIN) from None


def _locked(lock: Lock, environment: str, platform: str) -> tuple[Package, ...]:
    if environment not in lock.environments:
        raise BundleError(
            f"its '{LOCK}' has no environment '{environment}'",
            render_hint(environment, lock.environments),
        )
    platforms = lock.environments[environment]
    if platform not in platforms:
        known = ", ".join(platforms) or "none"
        raise BundleError(
            f"its '{LOCK}' has nothing for '{platform}' in the environment '{environment}'",
            f"it is for: {known}",
        )
    return tuple(lock.packages[location] for location in platforms[platform])


def read_channel(texts: Mapping[str, str]) -> tuple[Package, ...]:
    """Return what the indexes of the channel name.

    Raises:
        BundleError: an index cannot be parsed.
    """
    packages: list[Package] = []
    for path, text in texts.items():
        parts = path.split("/")
        if len(parts) == 3 and parts[0] == CHANNEL_DIR and parts[2] == REPODATA:  # noqa: PLR2004
            try:
                packages += parse_repodata(text, parts[1])
            except RepodataError as error:
                raise BundleError(f"its '{path}' cannot be used: {error}", AGAIN) from None
    return tuple(packages)


def _whole_channel(contents: Contents, platform: str) -> tuple[Package, ...]:
    indexed = read_channel(contents.texts)
    chosen = [each for each in indexed if each.subdir in {platform, NOARCH}]
    if not chosen:
        raise BundleError(
            f"it has no '{LOCK}', and its channel has no package for '{platform}'",
            "make a bundle with pixi-pack, or put the project's pixi.toml and pixi.lock into it",
        )
    names = [each.name for each in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BundleError(
            f"its channel has several builds of '{twice[0]}', and no '{LOCK}' says which is meant",
            "put the project's pixi.toml and pixi.lock into the bundle",
        )
    return (*chosen, *find_wheels(contents.files))


def _with_repodata(
    chosen: Mapping[str, tuple[Package, ...]], texts: Mapping[str, str]
) -> dict[str, tuple[Package, ...]]:
    """Take the checksums of the index where the lock has none."""
    bare = any(not each.sha256 and not each.md5 for all_ in chosen.values() for each in all_)
    indexed = {each.file: each for each in read_channel(texts)} if bare else {}

    def proven(package: Package) -> Package:
        if package.sha256 or package.md5 or package.file not in indexed:
            return package
        known = indexed[package.file]
        return replace(package, sha256=known.sha256, md5=known.md5)

    return {name: tuple(map(proven, packages)) for name, packages in chosen.items()}


def _manifest(
    text: str | None, name: str, chosen: Mapping[str, tuple[Package, ...]], wish: Wish
) -> str:
    if text is None:
        packages = {each.file: each for all_ in chosen.values() for each in all_}
        return render_manifest(packages.values(), tuple(chosen), wish.platform)
    try:
        return set_channels(text, name)
    except ManifestError as error:
        raise BundleError(f"its '{name}' cannot be used: {error}", AGAIN) from None


def list_packages(packages: tuple[Package, ...], files: Digests) -> tuple[Listed, ...]:
    """Compare packages with what the bundle has of them."""
    return tuple(
        Listed(
            package=each,
            size=files[each.file].size if each.file in files else 0,
            state=_state(each, files),
        )
        for each in packages
    )


def _state(package: Package, files: Digests) -> str:
    if package.kind == SOURCE:
        return SOURCE
    digest = files.get(package.file)
    if digest is None:
        return MISSING
    if package.sha256:
        return OK if package.sha256 == digest.sha256 else DIFFERS
    if package.md5:
        return OK if package.md5 == digest.md5 else DIFFERS
    return UNPROVEN


def find_faults(listed: tuple[Listed, ...]) -> tuple[str, ...]:
    """Return what is wrong with packages, each in a sentence."""
    faults = []
    for each in listed:
        package = each.package
        if each.state == MISSING:
            faults.append(f"the package '{package.file}' is missing")
        elif each.state == DIFFERS:
            faults.append(f"the package '{package.file}' is not what its checksum says")
        elif each.state == UNPROVEN and package.kind == CONDA:
            faults.append(f"nothing says which checksum the package '{package.file}' has")
    return tuple(faults)
