#!/usr/bin/env bash
# Builds the wheel and looks at it in a clean environment: what it provides, and what it says without its extras.
set -euo pipefail
scratch=$1
mkdir -p "$scratch"
python3 -m venv "$scratch/build" && "$scratch/build/bin/pip" install -q build
"$scratch/build/bin/python" -m build -q --wheel --outdir "$scratch/dist" .
python3 -m venv "$scratch/clean"
"$scratch/clean/bin/pip" install -q "$scratch"/dist/*.whl
cd "$scratch"
clean/bin/python - <<'PYTHON'
import importlib
import importlib.metadata
import importlib.util
import pathlib

import failover_core

assert "site-packages" in failover_core.__file__, failover_core.__file__
for name in ("core", "tests", "notebooks"):
    assert importlib.util.find_spec(name) is None, f"the wheel provides a top-level {name!r}"
required = [r for r in importlib.metadata.requires("failover-kit") or [] if "extra ==" not in r]
assert not required, f"the core requires {required}"
for package in ("failover_core", "langchain_failover", "llamaindex_failover"):
    spec = importlib.util.find_spec(package)
    assert spec and (pathlib.Path(spec.origin).parent / "py.typed").exists(), f"{package} has no py.typed"
for package, extra in (("langchain_failover", "langchain"), ("llamaindex_failover", "llamaindex")):
    try:
        importlib.import_module(package)
    except ImportError as error:
        assert f"failover-kit[{extra}]" in str(error), error
    else:
        raise AssertionError(f"{package} imports without its extra")
assert failover_core.Failover([failover_core.Target("t", call=str.upper)]).call("ok") == "OK"
try:
    failover_core.Target.native("openai:gpt-4o-mini")
except ImportError as error:
    assert "failover-kit[openai]" in str(error), error
else:
    raise AssertionError("a native target works without its SDK")
from failover_core.simulate import figures, named, run

assert figures([run(named("hard down"))]).lost == 0
print("the wheel is clean")
PYTHON
clean/bin/failover --version
clean/bin/failover simulate --list
if clean/bin/failover simulate healthy --plot picture.png 2>plot.err; then echo "a plot without matplotlib"; exit 1; fi
grep -F 'failover-kit[plot]' plot.err
