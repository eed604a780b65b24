"""What must stay true of the source tree as a whole, read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import failover_core

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "failover_core"
ADAPTERS = ("langchain_failover", "llamaindex_failover")
PACKAGES = (CORE, *(ROOT / name for name in ADAPTERS))
TESTS = ROOT / "tests"
MAX_LINES = 345

FRAMEWORKS = ("langchain", "llama_index", "langgraph")
APPLICATION = ("cli",)  # built on everything else, imported by nothing

PURE = [
    *("failure", "model", "output", "trace", "settings", "effects", "events", "checks", "route", "engine", "limits"),
    *("errors", "choice", "aftermath", "context", "validators"),
    *("policy/*", "health/*", "stream/*", "classify", "classification/*"),
]
IMPURE = {"time", "random", "threading", "asyncio", "logging"}
MAY = {  # module -> what it needs for more than annotations
    "health/book.py": {"threading"},  # the one lock
}
ONLY_ANNOTATED = {("live.py", "random"), ("health/book.py", "random"), ("client.py", "random")}

WHOLLY_OPTIONAL = {  # modules that are only imported by who needs, and has, this package
    "providers/openai.py": "openai",
    "providers/anthropic.py": "anthropic",
    "providers/google.py": "google",
    "testing/server.py": "aiohttp",
    "testing/host.py": "aiohttp",
    "testing/transport.py": "aiohttp",
}

SLEEPS_FOR_REAL = {
    "langchain/test_with_fallbacks_rows.py": "compares with with_fallbacks, which has no clock to replace",
    "scenarios/test_crowd_after_cooldown.py": "waits for the end of a real cooldown",
    "support/fault_stage.py": "calls at the times of a real outage",
}


def modules(*packages: Path) -> list[Path]:
    return sorted(path for package in packages for path in package.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def inside(path: Path, package: Path = CORE) -> str:
    return path.relative_to(package).as_posix()


def imports(path: Path, *, at_import_time: bool = False) -> Iterator[tuple[str, int]]:
    """Absolute imports as (dotted name, line); without those of functions and type checkers if so wanted."""

    def visit(node: ast.AST) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if at_import_time and (later or typing):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.level == 0:
                yield child.module or "", child.lineno
            yield from visit(child)

    return visit(tree_of(path))


def root_of(name: str) -> str:
    return name.partition(".")[0]


# -- who may import what --------------------------------------------------------------------------------------------


def test_the_core_knows_no_framework() -> None:
    found = [
        f"{inside(path)}:{line} imports {name}"
        for path in modules(CORE)
        if inside(path).partition("/")[0] not in APPLICATION
        for name, line in imports(path)
        if name.startswith((*FRAMEWORKS, *ADAPTERS))
    ]
    assert found == []


def test_the_core_needs_only_the_standard_library_at_import_time() -> None:
    found = [
        f"{inside(path)}:{line} imports {name}"
        for path in modules(CORE)
        if inside(path).partition("/")[0] not in APPLICATION
        for name, line in imports(path, at_import_time=True)
        if root_of(name) not in {*sys.stdlib_module_names, "failover_core", WHOLLY_OPTIONAL.get(inside(path))}
    ]
    assert found == []


def test_the_core_comes_up_in_a_bare_interpreter() -> None:
    """No site-packages at all, and none of the optional parts loaded."""
    script = f"""
import sys
sys.path.insert(0, {str(CORE.parent)!r})
import failover_core
print(*sorted(name.partition(".")[0] for name in sys.modules))
print(*sorted(name for name in sys.modules if name.startswith("failover_core.")))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    roots, own = (line.split() for line in done.stdout.splitlines())
    assert set(roots) - set(sys.stdlib_module_names) - {"failover_core", "__main__"} == set()
    assert [name for name in own if name.split(".")[1] in ("providers", "testing", "cli", "simulate")] == []


def is_pure(path: Path) -> bool:
    name = inside(path)
    return name.removesuffix(".py") in PURE or f"{name.partition('/')[0]}/*" in PURE


@pytest.mark.parametrize("path", [path for path in modules(CORE) if is_pure(path)], ids=inside)
def test_pure_modules_have_no_clock_no_chance_no_threads_and_no_log(path: Path) -> None:
    name = inside(path)
    found = {root_of(module) for module, _ in imports(path)} & IMPURE - MAY.get(name, set())
    assert found == {module for where, module in ONLY_ANNOTATED if where == name and module in found}


def test_the_list_of_pure_modules_is_not_out_of_date() -> None:
    names = {inside(path).removesuffix(".py") for path in modules(CORE)}
    for pure in PURE:
        assert pure in names or any(name.startswith(pure.removesuffix("*")) for name in names), pure


@pytest.mark.parametrize(("name", "module"), sorted(ONLY_ANNOTATED))
def test_random_sources_are_injected(name: str, module: str) -> None:
    """`Random` as a type, or one made where a `Failover` is; never the module's own, shared one."""
    tree = tree_of(CORE / name)
    used = [
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == module
    ]
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    ]
    assert (used, imported) == ([], ["Random"])


def test_nobody_imports_the_core_by_its_folder() -> None:
    """The editable install puts the repository on the path, and `core.failover_core` has other classes."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules(*PACKAGES, TESTS)
        for name, line in imports(path)
        if root_of(name) == "core"
    ]
    assert found == []


def test_adapters_do_not_know_each_other() -> None:
    for one in ADAPTERS:
        others = [other for other in ADAPTERS if other != one]
        found = [
            f"{path.relative_to(ROOT)}:{line}"
            for path in modules(ROOT / one)
            for name, line in imports(path)
            if root_of(name) in others
        ]
        assert found == []


# -- what users can rely on -----------------------------------------------------------------------------------------


def names_of(package: Path) -> list[str]:
    tree = tree_of(package / "__init__.py")
    (value,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return [f"{package.name}.{name}" for name in sorted(ast.literal_eval(value))]


def test_public_names() -> None:
    """A change of the public names is a change of `public_names.txt`, so that somebody looks at it."""
    expected = (Path(__file__).parent / "public_names.txt").read_text(encoding="utf-8").splitlines()
    assert [name for package in PACKAGES for name in names_of(package)] == expected


def test_public_names_exist() -> None:
    assert [name for name in failover_core.__all__ if not hasattr(failover_core, name)] == []


def test_types_are_shipped() -> None:
    assert [package.name for package in PACKAGES if not (package / "py.typed").exists()] == []


# -- how it is written ----------------------------------------------------------------------------------------------


def test_no_module_is_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*PACKAGES)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(*PACKAGES)
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


def test_tests_do_not_sleep() -> None:
    """Time is virtual. Who waits for real threads waits for an event."""
    found = []
    for path in modules(TESTS):
        tree = tree_of(path)
        for node in ast.walk(tree):
            calls = isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
            imported = isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in ast.unparse(node)
            if calls or imported:
                found.append(inside(path, TESTS))
    assert sorted(set(found) - set(SLEEPS_FOR_REAL)) == []


def test_nothing_names_a_machine_s_own_paths() -> None:
    places = ("/" + "work/", "/" + "root/", "/" + "tmp/")
    found = [
        f"{path.relative_to(ROOT)}: {place}"
        for path in modules(*PACKAGES, TESTS)
        for place in places
        if place in path.read_text(encoding="utf-8")
    ]
    assert found == []
