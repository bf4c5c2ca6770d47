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

# Standard input of all connections: a pipe that nobody writes to, and that ends when this script closes it or ends itself.
folder=$(mktemp -d)
mkfifo "$folder/pipe"
exec 9<>"$folder/pipe" 8<"$folder/pipe"
rm -r "$folder"
trap 'exec 9>&-' INT TERM

cluster=$(printf '"%s", ' "${addresses[@]}")
command=$(printf '%q ' "$@")
workers=()
for index in "${!addresses[@]}"; do
  config="{\"cluster\": {\"worker\": [${cluster%, }]}, \"task\": {\"type\": \"worker\", \"index\": $index}}"
  # ssh passes no signals on. When its standard input ends, the worker on the other side is asked to stop.
  remote="cd $(printf '%q' "$PWD") || exit 1
    exec 3<&0
    TF_CONFIG='$config' cnnkit $command </dev/null 3<&- & worker=\$!
    { cat; kill -TERM \$worker; } <&3 >/dev/null 2>&1 & watch=\$!
    wait \$worker; status=\$?; kill \$watch 2>/dev/null; exit \$status"
  ssh "${addresses[index]%:*}" "$remote" <&8 9>&- \
    > >(trap '' INT; exec sed -u "s/^/[$index] /" 9>&-) 2> >(trap '' INT; exec sed -u "s/^/[$index] /" >&2 9>&-) &
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
