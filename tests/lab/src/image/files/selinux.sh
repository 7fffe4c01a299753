# Run in the guest's root directory before it is made a disk.
set -eu
cd /var/lib/lab-selinux
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' /etc/selinux/config
make -s -f /usr/share/selinux/devel/Makefile nmstate_ipsec.pp
semodule --noreload --install=nmstate_ipsec.pp --install=lab.cil
cd /
setfiles -F /etc/selinux/default/contexts/files/file_contexts /
