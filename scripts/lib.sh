# Sourced by the scripts: how they speak and how they build.

say() {
  printf '\n== %s\n' "$*" >&2
}

if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

# install_for_tests [SECTION...]: what it takes to build and test, and these sections of packages.txt.
install_for_tests() {
  ./scripts/install build test "$@"
  ./scripts/install extra || say "Tests that need a browser or Node are skipped: they cannot be installed"
}

# build PRESET [-DNAME=VALUE...] [TARGET...]: configures and builds in build/PRESET.
# The working directory is the root of the repository.
build() {
  local preset=$1 definitions=() targets=()
  for argument in "${@:2}"; do
    case $argument in
      -D*) definitions+=("$argument") ;;
      *) targets+=("$argument") ;;
    esac
  done
  say "Building ${targets[*]:-everything} in build/$preset"
  cmake --preset "$preset" --log-level=WARNING "${definitions[@]}" >&2
  cmake --build "build/$preset" -j "$(nproc)" ${targets:+--target "${targets[@]}"} >&2
}

# run_suite PRESET [ctest argument...]: builds all tests and runs them.
run_suite() {
  local preset=$1
  build "$preset" -DTCONV_BUILD_TESTS=ON
  say "Testing build/$preset"
  ctest --preset "$preset" "${@:2}"
}
