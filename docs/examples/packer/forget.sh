#!/bin/sh
# Removes what makes one machine another than its copies. After this sshd lets nobody new in before the next boot.
set -eu

# Made anew on an instance's first boot (cloud-init, ssh-keygen -A, systemd-machine-id-setup).
rm -f /etc/ssh/ssh_host_*key /etc/ssh/ssh_host_*key.pub
[ ! -e /etc/machine-id ] || : >/etc/machine-id
[ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /etc/hostid /etc/nvme/hostnqn /etc/nvme/hostid
rm -f /etc/iscsi/initiatorname.iscsi

# The key that packer came in with; an instance gets its own by cloud-init.
rm -f /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
sync
