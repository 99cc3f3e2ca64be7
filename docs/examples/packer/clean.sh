#!/bin/sh
# Removes what no instance should inherit: caches, histories, logs, leases. Identity comes later (forget.sh).
set -eu

# cloud-init runs again on an instance's first boot.
! command -v cloud-init >/dev/null || cloud-init clean --logs --seed

if command -v apt-get >/dev/null; then
    apt-get clean
    find /var/lib/apt/lists /var/cache/apt -type f -delete
elif command -v dnf >/dev/null; then
    dnf clean all
fi

rm -f /root/.bash_history /root/.lesshst /root/.viminfo /root/.wget-hsts /home/*/.bash_history
rm -rf /root/.cache /root/.ansible /home/*/.cache
rm -f /var/lib/dhcp/*.leases /var/lib/NetworkManager/*.lease /etc/udev/rules.d/70-persistent-net.rules
rm -rf /var/lib/cloud/instances /var/lib/amazon/ssm/* /var/crash/* /core

# Logs are emptied and stay: their owners and modes belong to the image. Old ones go.
find /var/log -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.[0-9]' -o -name '*-[0-9]*' \) -delete
rm -rf /var/log/journal/*
find /var/log -type f -exec truncate -s 0 {} +

# packer's own scripts lie in /tmp until they end: only what is older goes.
find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'script_*' ! -name 'packer-*' -exec rm -rf {} +
sync
