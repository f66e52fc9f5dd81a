#!/usr/bin/env bash
# Everything that needs a card, in one run: tests, the same under compute-sanitizer (a part), and a
# short table at the end. Needs only built programs and a card.
#
#   tools/gpu_check.sh [BUILD]            BUILD: a build folder (default build/release)
#   OUT=folder  CHECKS="tests sanitizer"  where logs go; which parts run
set -uo pipefail
build=$(realpath "${1:-build/release}")
out=${OUT:-$(mktemp -d)}
checks=${CHECKS:-tests sanitizer}
cd "$(dirname "$0")/.."
table=()

step() {  # name, command...
  local name=$1 log=$out/$1.log start=$SECONDS
  shift
  if "$@" >"$log" 2>&1; then
    local last
    last=$(tail -1 "$log" | cut -c1-60)
    table+=("$(printf '%-28s ok      %4d s  %s' "$name" $((SECONDS - start)) "$last")")
  else
    table+=("$(printf '%-28s FAILED  %4d s  %s' "$name" $((SECONDS - start)) "$log")")
    grep -E "FAILED|Failure|error|Error|=========" "$log" | cut -c1-200 | head -"${LINES_SHOWN:-15}"
  fi
}

if [[ $checks == *tests* ]]; then
  step ops "$build/tests/ops/ops_cuda_test"
  step models "$build/tests/models/models_test" --gtest_filter='*card*'
  step engine "$build/tests/engine/engine_cuda_test"
fi
if [[ $checks == *sanitizer* ]]; then
  filter='*StreamedIsResident*:*card*llama_gqa*'
  step memcheck-engine compute-sanitizer --tool memcheck --error-exitcode 9 \
    "$build/tests/engine/engine_cuda_test" --gtest_filter="$filter"
  step racecheck-models compute-sanitizer --tool racecheck --error-exitcode 9 \
    "$build/tests/models/models_test" --gtest_filter='*llama_f32_gguf_card*'
fi
printf '%s\n' "${table[@]}"
! printf '%s\n' "${table[@]}" | grep -q FAILED
