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
            return not_made(len(pinned), ((done.stderr or done.stdout).strip().splitlines() or ["no reason given"])[-1])
    skipped = [package["name"] for package in packages if "vulns" not in package]
    if len(skipped) == len(packages):
        return not_made(len(packages), "it knows none of them")
    vulnerable = [(package, each) for package in packages for each in package.get("vulns", [])]
    for package, each in vulnerable:
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    if skipped:
        print(f"not known to the service: {', '.join(skipped)}")
    print(f"audit: {len(packages) - len(skipped)} packages, {len(vulnerable)} known vulnerabilities")
    return 1 if vulnerable else 0


def not_made(packages: int, reason: str) -> int:
    """Say that there was no audit; exit status 0, for the packages may be as good as any."""
    print(f"AUDIT NOT MADE: pip-audit could not ask its service about {packages} packages: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
