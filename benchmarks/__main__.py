"""``python -m benchmarks``: speed and memory; quality too where HUSH_DATA names the study data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    scripts = ["speed.py", *(["quality.py"] if os.environ.get("HUSH_DATA") else [])]
    return max(subprocess.call([sys.executable, str(HERE / name)]) for name in scripts)


if __name__ == "__main__":
    sys.exit(main())
