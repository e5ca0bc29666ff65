#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# host.sh SOURCES CONSUL FOLDER: a shell of root on a copy of this host, in the empty FOLDER. The shell reads
# commands from its standard input. The copy has the files of this host, a loopback of its own, and no service.
# Changes end with the shell. The caller gives namespaces: unshare --mount --net --pid --fork --kill-child
set -eu
export LC_ALL=C

sources=$1 consul=$2 copy=$3
mount -t tmpfs tmpfs "$copy"
root=$copy/root

# Lay the copy's writes over a folder of this host.
copy_folder() {
    mkdir -p "$copy/layer$1/up" "$copy/layer$1/work" "$root$1"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$copy/layer$1/up,workdir=$copy/layer$1/work" "$root$1"
}

mkdir "$root"
copy_folder /
mount -t proc proc "$root/proc"
for folder in dev run tmp; do
    mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"
done
copy_folder "$sources" # perhaps in one of these
for device in null zero random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"

# Debian's packages right after their installation, and stand-ins for systemd's commands.
install "$sources"/tests/e2e/newcomer/{systemctl,journalctl} "$root/usr/local/bin"
rm -rf "$root"/etc/postgresql/* "$root"/var/lib/postgresql/*
mkdir -p "$root/etc/dnsmasq.d" "$root/run/postgresql"
chown postgres: "$root/run/postgresql"
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf.new"
mv "$root/etc/resolv.conf.new" "$root/etc/resolv.conf"
touch "$root/consul"
mount --bind "$consul" "$root/consul"
ip link set lo up

exec chroot "$root" env -i -C "$sources" PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash
