"""Runs inside kritarunner: every `case_*` function of the module that PAINTERLY_CASE names.

Prints one line of JSON a case and a last line; the test outside demands both.
"""

import importlib
import json
import os
import sys
import traceback

from krita import Krita

# What a case prints must not be mistaken for its verdict.
VERDICT, LAST_LINE = "PAINTERLY-CASE ", "PAINTERLY-END"


def main(*_):
    Krita.instance().setBatchmode(True)
    print("PAINTERLY-PYTHON {}.{}".format(*sys.version_info), flush=True)
    wanted = json.loads(os.environ["PAINTERLY_CASE"])
    module = importlib.import_module(wanted["module"])
    for name in wanted["cases"]:
        verdict = {"name": name, "error": ""}
        try:
            getattr(module, name)()
        except BaseException:
            verdict["error"] = traceback.format_exc()
        finally:
            for document in Krita.instance().documents():
                document.setModified(False)
                document.close()
        print(VERDICT + json.dumps(verdict), flush=True)
    print(LAST_LINE, flush=True)
    sys.stdout.flush()
