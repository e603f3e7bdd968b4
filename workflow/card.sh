#!/usr/bin/env bash
# A graphics card that is lent for minutes, on a machine with PyTorch and no network.
#
#   workflow/card.sh pack                          here: wheels that such a machine lacks, and a small Bijie, into .card
#   workflow/card.sh run OUT [MINUTES] [RUN]       there: check and time the scan, then train RUN until the time is up
#
# OUT gets the log, the timings, the record with its counts, and the weights in half precision if they are small. A
# training that was stopped goes on from its last whole epoch where build/training is still there.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

pack() {
  rm -rf .card
  mkdir -p .card/wheels
  needed=$(grep -E '^(pydantic|pydantic[-_]core|annotated-types|typing-inspection)==' requirements.lock | cut -d' ' -f1)
  # shellcheck disable=SC2086
  "$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 -d .card/wheels $needed || exit 1
  PYTHONPATH=. "$python" - <<'PY' || exit 1
from pathlib import Path

from PIL import Image

from scgcnet.data import data_root

source, target = data_root() / "Bijie-landslide-dataset" / "landslide", Path(".card/data/Bijie-landslide-dataset/landslide")
for part, how, options in (("image", Image.Resampling.LANCZOS, {"quality": 90}), ("mask", Image.Resampling.NEAREST, {"lossless": True})):
    (target / part).mkdir(parents=True)
    for path in sorted((source / part).iterdir()):
        image = Image.open(path)
        scale = min(1, 512 / max(image.size))
        image = image.resize([max(1, round(side * scale)) for side in image.size], how)
        image.save(target / part / f"{path.stem}.webp", **options)
PY
  du -sh .card
}

run() {
  out=$1 minutes=${2:-9} name=${3:-bijie-scgcnet-base-gpu}
  end=$((SECONDS + minutes * 60 - 20)) # the rest is for bringing results back
  mkdir -p "$out"
  if [ -d .card ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --target .card/site .card/wheels/*.whl || exit 1
    export PYTHONPATH=.card/site:. SCGCNET_DATA=$PWD/.card/data
  fi
  {
    "$python" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "no card")'
    if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
      device=cuda
      "$python" -m pytest -q -p no:cacheprovider tests/scan/test_triton_gpu.py
    else
      device=cpu
    fi
    "$python" -m scgcnet.cli bench scan --device $device --quick --json "$out/scan.json"
    timeout -s INT $((end - SECONDS)) "$python" -m scgcnet.cli run "$name" --quiet
    echo "the training ended with $?"
  } 2>&1 | tee "$out/log"
  for file in {results,build}/{runs,details}/"$name"*.json; do
    [ -e "$file" ] && cp "$file" "$out/$(basename "$(dirname "$file")")-$(basename "$file")"
  done
  for file in build/weights/"$name"*.safetensors; do
    [ -e "$file" ] && "$python" -c '
import sys
from pathlib import Path
from scgcnet import zoo
source, target = map(Path, sys.argv[1:])
zoo.save_model(zoo.load_model(source), target, zoo.read_metadata(source), half=True)
if target.stat().st_size > 16 * 2**20:
    target.unlink()' "$file" "$out/weights.safetensors"
  done
  ls -l "$out"
}

case "${1:-}" in
  pack) pack ;;
  run) shift && run "$@" ;;
  *) sed -n '2,8p' "$0" && exit 2 ;;
esac
