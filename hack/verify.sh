#!/usr/bin/env bash
# Fails when a generated file or the module file is not what the sources make.
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(git status --porcelain)
hack/generate.sh
go mod tidy
after=$(git status --porcelain)
if [ "$before" != "$after" ]; then
	echo "Generated files are stale: run 'make generate' and 'go mod tidy', and commit what changes:" >&2
	diff <(echo "$before") <(echo "$after") | sed -n 's/^> /  /p' >&2
	git --no-pager diff --stat >&2
	exit 1
fi
echo "Generated files are fresh."
