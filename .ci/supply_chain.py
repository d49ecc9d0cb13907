"""Says what crmsync is made of (`sbom`) and whether anything of it is known to be vulnerable (`audit`).

Run it with the Python of the tools' own environment: `make audit`, `make sbom`. `audit` ends with 0 when every locked
package was looked up and none is vulnerable, 1 when one is, and 3 when one could not be looked up.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LOCK = "requirements.lock"
SBOM = "sbom.json"


def locked(text):
    """The packages of a lock file with their versions; one may have several, for one Python each."""
    return set(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))


def judge(answer, packages):
    """The exit code for what pip-audit printed, and sentences."""
    try:
        found = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 3, ["NOT AUDITED: the advisory database could not be reached; run it again where it can be."]
    said = [
        f"VULNERABLE: {each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or '?'}"
        for each in found
        for flaw in each.get("vulns", ())
    ]
    code = 1 if said else 0
    names = {name for name, _version in packages}
    if unknown := sorted(names - {each["name"] for each in found if "vulns" in each}):
        said.append(f"NOT AUDITED: {len(unknown)} of {len(names)} packages were not found: {', '.join(unknown)}")
        code = code or 3
    return code, said or [f"Audited: {len(names)} packages, none of them known to be vulnerable."]


def audit():
    """Look up every locked package."""
    tool = Path(sys.executable).with_name("pip-audit")
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    ended = subprocess.run([tool, *options, "--requirement", LOCK], capture_output=True, check=False)
    code, said = judge(ended.stdout, locked(Path(LOCK).read_text(encoding="utf-8")))
    sys.stdout.write("".join(f"{each}\n" for each in said))
    return code


def differences(document, packages):
    """What stands in one of the two only: an SBOM (CycloneDX, as JSON) and the locked packages."""
    return sorted(map(str, {(each["name"], each["version"]) for each in document["components"]} ^ packages))


def sbom():
    """Write the SBOM, and compare it with the lock file."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    options = ["--output-reproducible", "--validate", "--pyproject", "pyproject.toml", "--output-file", SBOM]
    subprocess.run([sys.executable, "-W", "ignore", tool, "requirements", *options, LOCK], check=True)
    packages = locked(Path(LOCK).read_text(encoding="utf-8"))
    wrong = differences(json.loads(Path(SBOM).read_text(encoding="utf-8")), packages)
    said = (
        f"differs from {LOCK}: {', '.join(wrong)}" if wrong else f"lists {len(packages)} packages, exactly as locked."
    )
    sys.stdout.write(f"{SBOM} {said}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit({"audit": audit, "sbom": sbom}[sys.argv[1]]())
