"""The design's rules about who may import whom, and about size, held by walking the syntax trees."""

import ast
import sys
from pathlib import Path

import pytest

from plugin.painterly.protocol.parameters import BY_NAME

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("backend", "plugin")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# Who may import within a function, and why it does.
LATE_IMPORTS = {
    "backend/worker.py": "torch takes seconds and memory that a worker told to end at once should not cost",
    "backend/cli/runner.py": "either the engine or the service's client is needed, never both",
    "backend/cli/job.py": "torch takes seconds: bad input is told before",
    "backend/cli/serve.py": "the service's modules are only for this one command",
    "backend/installer/environment.py": "msvcrt and fcntl each exist on one kind of system only",
}


def sources(*places: str) -> list:
    """Python files below `places` (folders or files), as paths relative to the root."""
    found = []
    for place in places:
        path = ROOT / place
        found += path.rglob("*.py") if path.is_dir() else [path]
    return sorted(path.relative_to(ROOT) for path in found)


def tree(path: Path, **options) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"), str(path), **options)


def imports(path: Path) -> list:
    """Absolute names of all modules that a file imports anywhere, relative ones resolved."""
    package = path.with_suffix("").parts[:-1]
    names = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from package import module` names a module too; for a name in a module it does no harm.
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return names


def importing(name: str, files: list) -> list:
    """Which of `files` import the module or package `name`."""
    return [
        path.as_posix() for path in files if any(n == name or n.startswith(name + ".") for n in imports(path))
    ]


def functions(path: Path) -> list:
    return [
        node for node in ast.walk(tree(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def by_path(files: list):
    return pytest.mark.parametrize("path", files, ids=str)


NUMERICS = sources("backend/harmonize")
OPERATIONS = sources("backend/harmonize/ops")
PLUGIN = sources("plugin")


def test_there_is_something_to_hold_rules_over():
    assert len(NUMERICS) > 15 and len(OPERATIONS) > 8 and len(PLUGIN) > 15


@by_path(NUMERICS)
def test_the_numerics_know_nothing_of_who_asked(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in ("zmq", "plugin", "krita", "PIL", "pyvips"), name
        assert top != "backend" or name.startswith("backend.harmonize"), name


@by_path(NUMERICS)
def test_the_numerics_print_nothing_and_open_nothing_but_weights(path):
    called = {
        n.func.id for n in ast.walk(tree(path)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert not called & {"print", "open", "input"}
    if path.name != "networks.py":
        assert not {"pathlib", "os", "h5py", "numpy", "torchvision"} & {
            n.split(".")[0] for n in imports(path)
        }


@by_path(OPERATIONS)
def test_operations_import_no_passes(path):
    for name in imports(path):
        inside = name.split(".")[0] != "backend" or name.startswith("backend.harmonize.ops")
        assert inside, f"an operation imports {name}"


@by_path(PLUGIN)
def test_the_plugin_needs_nothing_that_krita_does_not_have(path):
    allowed = {*sys.stdlib_module_names, "plugin", "krita", "pykrita", "zmq", "PyQt5", "PyQt6"}
    for name in imports(path):
        assert name.split(".")[0] in allowed, name


@by_path(PLUGIN)
def test_the_plugin_is_written_in_kritas_oldest_python(path):
    tree(path, feature_version=(3, 8))


@by_path(sources("plugin/painterly/protocol"))
def test_the_contract_is_standard_library_only(path):
    for name in imports(path):
        assert name.split(".")[0] in sys.stdlib_module_names or name.startswith(
            "plugin.painterly.protocol"
        ), name


def test_only_one_file_of_the_plugin_imports_zmq():
    assert importing("zmq", PLUGIN) == ["plugin/painterly/connection.py"]


def test_in_the_backend_only_the_service_and_its_command_import_zmq():
    allowed = ("backend/server.py", "backend/worker.py", "backend/cli/serve.py")
    for path in importing("zmq", sources("backend")):
        assert path in allowed or path.startswith("backend/service/"), path


def test_only_the_canvas_imports_krita():
    for path in importing("krita", sources(*SHIPPED)):
        assert path.startswith("plugin/painterly/canvas"), path


def test_only_one_file_knows_which_qt_it_is():
    for name in ("PyQt5", "PyQt6", "pykrita"):
        assert importing(name, PLUGIN) == ["plugin/painterly/qt.py"]


def test_the_socket_loop_computes_nothing():
    files = sources("backend/server.py", "backend/service")
    for heavy in ("torch", "numpy", "backend.harmonize", "backend.engine", "backend.convert"):
        assert importing(heavy, files) == []


def test_the_engine_is_below_those_who_use_it():
    files = sources("backend/engine.py", "backend/machine.py", "backend/convert.py")
    for above in ("backend.cli", "backend.server", "backend.worker", "backend.service"):
        assert importing(above, files) == []


@by_path(sources(*SHIPPED, "install.py", "tests"))
def test_no_file_is_too_long_to_read(path):
    assert len((ROOT / path).read_text("utf-8").splitlines()) <= LONGEST_FILE


@by_path(sources(*SHIPPED, "install.py", "tests"))
def test_no_function_needs_scrolling(path):
    for function in functions(path):
        assert function.end_lineno - function.lineno < LONGEST_FUNCTION, function.name


@by_path(sources(*SHIPPED, "install.py"))
def test_imports_stand_at_the_top(path):
    late = [
        ast.unparse(node)
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert not late or path.as_posix() in LATE_IMPORTS, late


def test_the_list_of_late_imports_is_not_longer_than_needed():
    for path in LATE_IMPORTS:
        inside = [
            n
            for f in functions(Path(path))
            for n in ast.walk(f)
            if isinstance(n, (ast.Import, ast.ImportFrom))
        ]
        assert inside, f"{path} imports nothing within a function any more"


def test_what_an_artist_can_set_has_its_default_in_one_place():
    """The numerics' settings of the parameters' names have no values of their own."""
    (settings,) = [
        node
        for node in tree(Path("backend/harmonize/config.py")).body
        if isinstance(node, ast.ClassDef) and node.name == "Config"
    ]
    fields = {node.target.id: node.value for node in settings.body if isinstance(node, ast.AnnAssign)}
    shared = set(fields) & set(BY_NAME)
    assert {"content", "smoothness", "grow", "feather", "seed"} <= shared
    for name in [*shared, "style_level", "working_scale", "first", "second", "full_frame"]:
        assert fields[name] is None, f"{name} has a default besides the declared one"
