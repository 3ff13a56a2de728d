# Shared by the scripts, which source it first: strict mode, the project's root as working directory, messages.
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

usage() { # prints the comment that the script opens with
  sed -n '2,/^me=/{/^me=/d;s/^# \{0,1\}//;p}' "scripts/$me"
  exit 0
}

# What scripts/setup makes.
oracles_venv=$PWD/build/oracles/venv
model_file=$PWD/build/models/SmolLM2-135M-Instruct.gguf

# Caches are found again from any clone of the project.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=1

# build PRESET [TARGET...]: on a terminal, Ninja's one line says how far it is
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
