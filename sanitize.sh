#!/bin/sh
# Runs Python with AddressSanitizer, UndefinedBehaviorSanitizer and the kernels that `make -C kernels sanitized` compiled for them:
#     sh ./sanitize.sh PYTHON -m pytest tests/kernels
# The package's modules and the tests are this checkout's, beside that library. Python's own memory at its end is no leak of ours.
set -eu
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
root=$(cd "$(dirname "$0")" && pwd)
compiler=${CXX:-g++}
cd "$root/build/sanitized"
for name in tests benchmarks kernels integrations pyproject.toml; do ln -sfn "$root/$name" "$name"; done
for path in "$root"/deepcg/*; do
  case $path in *.so) ;; *) ln -sfn "$path" "deepcg/$(basename "$path")" ;; esac
done
export PYTHONPATH="$PWD"
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:halt_on_error=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libstdc++.so.6)" exec "$python" "$@"
