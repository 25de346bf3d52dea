"""What holds for all tests: gateways that they start leave their incidents in a folder of this run."""

import atexit
import os
import shutil
import tempfile

if "HEADGATE_STATE_DIRECTORY" not in os.environ:
    os.environ["HEADGATE_STATE_DIRECTORY"] = tempfile.mkdtemp(prefix="headgate-tests-")
    atexit.register(shutil.rmtree, os.environ["HEADGATE_STATE_DIRECTORY"], ignore_errors=True)
