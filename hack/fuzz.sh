#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other, and the property tests with more cases.
set -euo pipefail
cd "$(dirname "$0")/.."
time=$1
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r package; do
	grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' "$package"/*_test.go | awk '{print $2}' | while read -r target; do
		echo "== $package $target"
		go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 50x </dev/null
	done
done
grep -rl 'pgregory.net/rapid' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r package; do
	echo "== $package, properties with 20 times the cases"
	go test "$package" -count=1 -timeout 60m -rapid.checks=2000 </dev/null
done
