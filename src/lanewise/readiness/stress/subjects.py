"""Findings as places in importable code: which functions, which object, under which names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lanewise.readiness.findings import Finding

_Def = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class FunctionPlace:
    """A function that a finding is about, as code objects name it.

    Attributes:
        file: Its file, absolute and without links.
        first_line: Where it begins, decorators included.
        qualname: With ``<locals>`` where it lies in another function.
        lines: The lines that the finding names in it.
    """

    file: str
    first_line: int
    qualname: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A finding with what is needed to run its code.

    Attributes:
        finding: The finding.
        functions: Its functions, the worst place's first.
        module: The name that the first one's module is imported by.
        path: The folder from which it is.
        object_module: The name of the module that binds the object.
        object: The object's dotted name in there.
    """

    finding: Finding
    functions: tuple[FunctionPlace, ...]
    module: str
    path: str
    object_module: str
    object: str

    @property
    def keys(self) -> frozenset[tuple[str, int]]:
        """What tells its functions from others."""
        return frozenset((one.file, one.first_line) for one in self.functions)

    def names(self) -> Iterator[tuple[str, int, str]]:
        """Yield the functions with the dotted names that arguments are noted under."""
        for one in self.functions:
            yield one.file, one.first_line, f"{import_name_of(Path(one.file))[0]}.{one.qualname}"


def import_name_of(file: Path, root: Path | None = None) -> tuple[str, Path]:
    """Return the name by which a file is imported, and the folder from which.

    A file outside of packages is imported from the audited root, so that ``app/state.py`` of a
    namespace package is ``app.state``; a ``src`` folder is no package.
    """
    parts = [file.stem] if file.stem != "__init__" else []
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name:
        parts.insert(0, folder.name)
        folder = folder.parent
    if folder != file.parent or root is None or not folder.is_relative_to(root):
        return ".".join(parts), folder
    above = list(folder.relative_to(root).parts)
    if above[:1] == ["src"]:
        above, root = above[1:], root / "src"
    return ".".join([*above, *parts]), root


def subjects(findings: tuple[Finding, ...], root: Path) -> list[Subject]:
    """Find the code of findings; those without a function (of unread files, say) are left out."""
    root = root.resolve()
    trees: dict[Path, ast.Module] = {}
    found = []
    for finding in findings:
        subject = _subject(finding, root, trees) if finding.function else None
        if subject is not None:
            found.append(subject)
    return found


def _subject(finding: Finding, root: Path, trees: dict[Path, ast.Module]) -> Subject | None:
    places: dict[tuple[str, int], FunctionPlace] = {}
    for place in (finding.place, *finding.also):
        file = (root / place.path).resolve()
        found = _function_at(_tree(file, trees), place.line)
        if found is None:
            continue
        first, qualname = found
        known = places.get((str(file), first))
        lines = (*(() if known is None else known.lines), place.line)
        places[str(file), first] = FunctionPlace(str(file), first, qualname, lines)
    if not places:
        return None
    file = (root / finding.path).resolve()
    module, path = import_name_of(file, root)
    home = file if finding.defined is None else (root / finding.defined.path).resolve()
    owner = import_name_of(home, root)[0]
    return Subject(
        finding=finding,
        functions=tuple(places.values()),
        module=module,
        path=str(path),
        object_module=owner,
        object=_within(finding.object, owner),
    )


def _within(dotted: str, module: str) -> str:
    """The object's name without its module's, by whichever of its names the audit has it."""
    parts = module.split(".")
    for start in range(len(parts)):
        prefix = ".".join(parts[start:]) + "."
        if dotted.startswith(prefix):
            return dotted[len(prefix) :]
    return dotted.partition(f"{parts[-1]}.")[2] or dotted


def _tree(file: Path, trees: dict[Path, ast.Module]) -> ast.Module:
    if file not in trees:
        trees[file] = ast.parse(file.read_bytes())
    return trees[file]


def _function_at(tree: ast.Module, line: int) -> tuple[int, str] | None:
    """Return where the innermost function around a line begins, and its qualified name."""
    found: tuple[int, str] | None = None
    for node, qualname in _functions(tree, ""):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        if first <= line <= (node.end_lineno or node.lineno):
            found = first, qualname  # inner ones come later
    return found


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[_Def, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Def):
            yield child, prefix + child.name
            yield from _functions(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)
