"""Distributions in a folder, as an installer leaves them: for tests of what is read from there."""

from __future__ import annotations

from pathlib import Path


def install(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: tuple[str, ...] = (),
    extras: tuple[str, ...] = (),
    tags: tuple[str, ...] = ("py3-none-any",),
    files: dict[str, str | bytes] | None = None,
    record: bool = True,
) -> None:
    """Write a distribution's metadata and files."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    lines += [f"Provides-Extra: {one}" for one in extras]
    (metadata / "METADATA").write_text("\n".join(lines) + "\n")
    pure = "true" if tags == ("py3-none-any",) else "false"
    wheel = ["Wheel-Version: 1.0", f"Root-Is-Purelib: {pure}", *[f"Tag: {tag}" for tag in tags]]
    (metadata / "WHEEL").write_text("\n".join(wheel) + "\n")
    files = {f"{name.replace('-', '_')}/__init__.py": ""} if files is None else files
    for relative, content in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if record:
        listed = [*files, f"{metadata.name}/METADATA", f"{metadata.name}/WHEEL"]
        (metadata / "RECORD").write_text("".join(f"{one},,\n" for one in listed))
