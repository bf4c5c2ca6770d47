"""Audit the installed packages for known vulnerabilities; an audit that cannot be made says so, and does not count as a failure.

Usage: audit.py PIP_AUDIT PYTHON, the program of pip-audit and the interpreter whose packages are audited.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(pip_audit: str, python: str) -> int:
    """Exit status: 1 where a package has a known vulnerability, 0 where none has one or it could not be found out."""
    frozen = subprocess.run([python, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True).stdout
    pinned = [line for line in frozen.splitlines() if "==" in line]  # a file or a checkout, such as cnnkit itself, has no entry there
    with tempfile.TemporaryDirectory() as folder:
        requirements, found = Path(folder, "requirements.txt"), Path(folder, "found.json")
        requirements.write_text("\n".join(pinned) + "\n")
        options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=20", "--format=json", f"--output={found}"]
        done = subprocess.run(
            [pip_audit, f"--requirement={requirements}", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        try:
            packages = json.loads(found.read_text())["dependencies"]
        except (OSError, ValueError, KeyError):
            print(f"AUDIT NOT MADE: pip-audit could not ask its service about {len(pinned)} packages.", flush=True)
            print("\n".join((done.stderr or done.stdout).strip().splitlines()[-1:]))
            return 0
    skipped = [package["name"] for package in packages if "vulns" not in package]
    vulnerable = [(package, each) for package in packages for each in package.get("vulns", [])]
    for package, each in vulnerable:
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    if skipped:
        print(f"not known to the service: {', '.join(skipped)}")
    print(f"audit: {len(packages) - len(skipped)} packages, {len(vulnerable)} known vulnerabilities")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
