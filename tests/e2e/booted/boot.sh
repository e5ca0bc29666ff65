#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.sh SOURCES CONSUL FOLDER: boot systemd on a copy of this host, in the empty FOLDER. The copy has the files of this
# host. It has a loopback and a journal of its own. No service of this host starts. Changes end with it. The caller gives
# namespaces: unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child
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
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
if mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified" || true
else
    umount "$root/sys/fs/cgroup"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
for folder in dev run tmp; do
    mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"
done
chmod 755 "$root/run" "$root/dev"
copy_folder "$sources" # perhaps in one of these
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts"
mkdir -m 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
touch "$root/consul"
mount --bind "$consul" "$root/consul"
ip link set lo up

# None of the host's own units start: each is started by the test.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/default.target "$root"/var/log/journal
: >"$root/etc/fstab"
mkdir -p "$root/etc/systemd/system.conf.d" # tests start a unit as often as they like
printf '[Manager]\nDefaultStartLimitIntervalSec=0\n' >"$root/etc/systemd/system.conf.d/limits.conf"
# Credentials are mounts, which each unit is to see.
mount --make-rshared "$root"
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd \
    --unit=basic.target --log-target=journal --show-status=0
