#!/usr/bin/env bash
# Builds the fuzz targets with clang and runs each for some seconds, several at a time.
#
#   tools/fuzz.sh SECONDS [TARGET...]
#
# Inputs found on the way are kept in build/fuzz/corpus/TARGET and are the start of the next run,
# with the seeds in tests/fuzz/corpus/TARGET. An input that breaks a target is written to
# build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: tools/fuzz.sh SECONDS [TARGET...]}
shift
folder=build/fuzz
mkdir -p "$folder/logs" "$folder/findings"

if [[ ! -f $folder/build.ninja ]] && ! cmake --preset fuzz >"$folder/logs/configure.log" 2>&1; then
  cat "$folder/logs/configure.log" >&2
  exit 1
fi
if ! ninja -C "$folder" fuzzers >"$folder/logs/build.log" 2>&1; then
  cat "$folder/logs/build.log" >&2
  echo "fuzz: the build failed" >&2
  exit 1
fi

targets=("$@")
if ((${#targets[@]} == 0)); then
  for program in "$folder"/fuzzers/*; do targets+=("$(basename "$program")"); done
fi

run_target() {
  local folder=$1 seconds=$2 target=$3
  local log=$folder/logs/$target.log corpora=("$folder/corpus/$target")
  mkdir -p "${corpora[0]}"
  if [[ -d tests/fuzz/corpus/$target ]]; then corpora+=("tests/fuzz/corpus/$target"); fi
  if "$folder/fuzzers/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
      -print_final_stats=1 -artifact_prefix="$folder/findings/$target-" "${corpora[@]}" \
      >"$log" 2>&1; then
    echo "fuzz: $target passed, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
  else
    tail -n 40 "$log"
    echo "fuzz: $target FAILED, see $log and $folder/findings"
    return 1
  fi
}
export -f run_target

echo "fuzz: ${#targets[@]} targets, ${seconds} s each"
printf '%s\n' "${targets[@]}" |
  xargs -P "$(nproc)" -I{} \
    bash -euo pipefail -c 'run_target "$@"' run_target "$folder" "$seconds" {}
