#!/bin/bash
# Becomes an instance. Runs in new namespaces (pid, mount, uts, ipc, cgroup, net), still on the host's files.
#
# Environment: I (the instance's directory), LOWER (image), ID, IP (with prefix), MAC, VETH, WIRE, OVERLAY_OPTIONS, and two open
# files: NETWORK, the network namespace that holds the bridge, and ALIVE, the lock that means life; our parent keeps it.
# Prints one line and fails when a step fails.
set -eu
exec {ALIVE}>&-
umask 022
R=$I/root

# The network: one cable to the private bridge, no route to anywhere else.
ip link set lo up
ip link add eth0 address "$MAC" type veth peer name "$VETH" netns "/proc/self/fd/$NETWORK"
nsenter --net="/proc/self/fd/$NETWORK" ip link set "$VETH" $WIRE
exec {NETWORK}>&-
ip addr add "$IP" dev eth0
ip link set eth0 up

# The root file system: the image below, what changes above. It is mounted in our namespace only, and ends with it.
mount --make-rprivate /
mount -t overlay -o "lowerdir=$LOWER,upperdir=$I/upper,workdir=$I/work$OVERLAY_OPTIONS" overlay "$R"
if [ -d "$I/seed" ]; then
    cp -a "$I/seed/." "$R/"
    rm -rf "$I/seed"
fi

hostname "$ID"
mount -t proc -o nosuid,nodev,noexec proc "$R/proc"
# The kernel is everybody's: an instance may read its settings, not turn them.
mount --bind "$R/proc/sys" "$R/proc/sys"
mount -o remount,bind,ro,nosuid,nodev,noexec "$R/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$R/sys"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$R/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$R/tmp"
mount -t tmpfs -o mode=755,nosuid tmpfs "$R/dev"
for device in null zero full random urandom tty; do
    : >"$R/dev/$device"
    mount --bind "/dev/$device" "$R/dev/$device"
done
mkdir "$R/dev/pts" "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$R/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$R/dev/shm"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"

# Our process id as the host sees it, with start time and boot, so that nobody ever signals a recycled one.
read -r stat </proc/self/stat
read -r boot </proc/sys/kernel/random/boot_id
printf '%s\n%s\n' "$boot" "$stat" >"$I/init.new"
mv "$I/init.new" "$I/init"

cd "$R"
pivot_root . .
umount -l .
cd /
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux \
    /sbin/instance-init </dev/null >/dev/null 2>&1
