#!/usr/bin/env bash
# Train on several machines over ssh, with a worker on each: docs/scale/ssh.sh HOST[:PORT]... -- train CONFIG [options]
# The first host is the chief, which writes the run. This folder has to be on every host under the same path, and the ports open to
# each other. Ctrl-C stops all workers at the same step, and they save.
set -u

addresses=()
while [[ $# -gt 0 && $1 != -- ]]; do
  if [[ $1 == *:* ]]; then addresses+=("$1"); else addresses+=("$1:5000"); fi
  shift
done
if [[ ${#addresses[@]} -eq 0 || $# -lt 2 ]]; then
  echo "usage: $0 HOST[:PORT]... -- train CONFIG [options]" >&2
  exit 2
fi
shift

cluster=$(printf '"%s", ' "${addresses[@]}")
command=$(printf '%q ' "$@")
workers=()
exec 9<> <(:) # a pipe that nobody writes to and that does not end: standard input of the connections
stopping=0
trap 'stopping=1; kill $(jobs -p) 2>/dev/null' INT TERM
for index in "${!addresses[@]}"; do
  if [[ $stopping -eq 1 ]]; then break; fi
  config="{\"cluster\": {\"worker\": [${cluster%, }]}, \"task\": {\"type\": \"worker\", \"index\": $index}}"
  # Standard input ends with the connection: then the worker is asked to stop. ssh passes no signals on.
  remote="cd $(printf '%q' "$PWD") || exit 1
    exec 3<&0
    TF_CONFIG='$config' cnnkit $command </dev/null 3<&- & worker=\$!
    { cat; kill -TERM \$worker; } <&3 >/dev/null 2>&1 & watch=\$!
    wait \$worker; status=\$?; kill \$watch 2>/dev/null; exit \$status"
  ssh "${addresses[index]%:*}" "$remote" <&9 > >(sed -u "s/^/[$index] /") 2> >(sed -u "s/^/[$index] /" >&2) &
  workers+=($!)
done

highest=0
for worker in "${workers[@]}"; do
  while true; do
    wait "$worker"
    status=$?
    kill -0 "$worker" 2>/dev/null || break # the trap has interrupted the wait
  done
  if [[ $status -gt $highest ]]; then highest=$status; fi
done
exit "$highest" # from 128 on, the same command with --resume-or-start goes on from the last checkpoint
