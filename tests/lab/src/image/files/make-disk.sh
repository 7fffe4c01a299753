# Usage: make-disk.sh WORK_DIR SIZE UNIT_TO_MASK...
# Turns rootfs.tar and the overlay of WORK_DIR into a disk, and takes the kernel out of it.
set -eu
cd "$1"
size=$2
shift 2

mkdir root
tar --extract --file rootfs.tar --directory root --numeric-owner
rm rootfs.tar
# ownership is given, as the overlay was made by whoever runs this
cp --recursive --preserve=mode --no-target-directory overlay root
chown --recursive 0:0 root/etc/systemd root/etc/NetworkManager root/usr/local
rm --recursive overlay

units=root/etc/systemd/system
for unit; do
    ln --symbolic --force /dev/null "$units/$unit"
    find "$units" -path '*.wants/*' -name "$unit" -delete
done
# tests decide when IKE starts
rm --force "$units/multi-user.target.wants/ipsec.service"
ln --symbolic ../lab-agent.service "$units/multi-user.target.wants/lab-agent.service"
rm --recursive --force root/var/lib/apt/lists/* root/var/cache/apt/*

# needs root: it runs the guest's own programs
if [ -e root/var/lib/lab-selinux ]; then
    chroot root sh /var/lib/lab-selinux/run.sh
    rm --recursive root/var/lib/lab-selinux
fi

cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd.img
rm root/boot/initrd.img-*
chmod u+r vmlinuz initrd.img
mkfs.ext4 -q -F -L root -E lazy_itable_init=0,lazy_journal_init=0 -d root disk.img "$size"
qemu-img convert -O qcow2 disk.img disk.qcow2
rm --recursive root disk.img make-disk.sh
