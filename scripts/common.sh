# The scripts source this file first. It sets strict mode, makes the project's root the working
# directory, and defines functions for messages, --help and builds.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/versions.sh
source scripts/versions.sh

say() { printf '%s\n' "${me:-merope}: $*" >&2; }
die() {
  say "$@"
  exit 1
}

usage() { # prints the comment at the top of the script
  sed -n '2,/^me=/{/^me=/d;s/^# \{0,1\}//;p}' "scripts/$me"
  exit 0
}

# Paths that scripts/setup creates.
oracles_venv=$PWD/build/oracles/venv
model_file=$PWD/build/models/SmolLM2-135M-Instruct.gguf

# With these settings, ccache finds its entries from any clone of the project.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=1

# build PRESET [TARGET...]: on a terminal, Ninja's status line shows the progress
build() {
  local preset=$1 how=()
  shift
  local log=build/$preset/configure.log
  mkdir -p "build/$preset"
  cmake --preset "$preset" >"$log" 2>&1 || {
    cat "$log" >&2
    return 1
  }
  [ -t 1 ] || how=(--quiet)
  cmake --build --preset "$preset" -- ${how[@]+"${how[@]}"} ${@+"$@"}
}
