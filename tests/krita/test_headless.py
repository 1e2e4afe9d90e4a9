"""Export and import in the real Krita without a window; one kritarunner for each module of cases."""

import ast
import json
import shutil

import pytest

from . import harness

MODULES = [
    path.stem for path in sorted((harness.HERE / "inside").glob("*_cases.py")) if path.stem != "run_cases"
]


def _cases(module):
    tree = ast.parse((harness.HERE / "inside" / (module + ".py")).read_text())
    return [
        item.name for item in tree.body if isinstance(item, ast.FunctionDef) and item.name.startswith("case_")
    ]


@pytest.fixture(scope="session")
def verdicts(warm_profile, tmp_path_factory):
    """The verdicts of a module's cases, by name; each module runs once."""
    known = {}

    def run(module):
        if module not in known:
            folder = tmp_path_factory.mktemp(module)
            known[module] = _run(warm_profile.copied_to(folder / "user"), module)
            shutil.rmtree(folder, ignore_errors=True)  # 0.2 GB
        return known[module]

    return run


def _run(profile, module):
    output = harness.run_headless(profile, "run_cases", {"module": module, "cases": _cases(module)})
    found = [
        json.loads(line[len("PAINTERLY-CASE ") :])
        for line in output.splitlines()
        if line.startswith("PAINTERLY-CASE ")
    ]
    return {"output": output, "ended": "PAINTERLY-END" in output, **{each["name"]: each for each in found}}


@pytest.mark.parametrize("module,case", [(module, case) for module in MODULES for case in _cases(module)])
def test_case(verdicts, module, case):
    seen = verdicts(module)
    assert case in seen, "Krita ended before this case:\n" + seen["output"][-3000:]
    assert not seen[case]["error"], seen[case]["error"]


@pytest.mark.parametrize("module", MODULES)
def test_all_cases_ran(verdicts, module):
    assert verdicts(module)["ended"], verdicts(module)["output"][-3000:]
