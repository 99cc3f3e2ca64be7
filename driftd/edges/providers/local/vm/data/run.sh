#!/bin/sh
# Becomes qemu. Environment: I, the instance's directory; arguments: the command.
# Our process id, with start time and boot, is written first, so that nobody ever signals a recycled one.
set -eu
read -r stat </proc/self/stat
read -r boot </proc/sys/kernel/random/boot_id
printf '%s\n%s\n' "$boot" "$stat" >"$I/init.new"
mv "$I/init.new" "$I/init"
unset I
exec "$@"
