# Runs in a mount namespace of its own, as root: a copy of this host in memory gets packages, has them a second time, as in
# an upgrade, and loses them again. systemd does not run there. Arguments: a directory, rpm or deb, and the packages.
#
# Of RPM packages also what they want of others, and which they do not bear.
#
# Prints "<step>." for what was as it should be, and lines of the form "<step>: <what was found>".
set -eu
dir=$1
kind=$2
shift 2
units="nmstate-ipsecd.service nmstate-ipsecd.path nmstate-ipsec-certificates.service nmstate-ipsec-certificates.path
nmstate-ipsec-guard.service nmstate-ipsec-wait-online.service"
# Ten times the exposure that systemd-analyze may find, of at most 10.
exposure=30

mount -t tmpfs tmpfs "$dir"
mkdir "$dir/changes" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/changes,workdir=$dir/work" "$dir/root"
mount -t tmpfs tmpfs "$dir/root/run"
mount -t tmpfs tmpfs "$dir/root/tmp"
mount -t proc proc "$dir/root/proc"
mount --rbind /dev "$dir/root/dev"
mkdir "$dir/root/run/packages"
cp "$@" "$dir/root/run/packages/"

inside() {
    # The host's own policy for starting services is none of these packages' business.
    DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$dir/root" "$@"
}

install_packages() {
    case $kind in
    rpm) inside sh -c 'rpm --dbpath /run/rpmdb --upgrade --replacepkgs --nodeps --nosignature /run/packages/*.rpm' ;;
    deb) inside sh -c 'dpkg --force-depends --install /run/packages/*.deb' >/dev/null ;;
    esac
}

remove_packages() {
    case $kind in
    rpm) inside sh -c 'rpm --dbpath /run/rpmdb --erase $(rpm --dbpath /run/rpmdb --query --all)' ;;
    deb) inside sh -c 'dpkg --remove $(dpkg-query --show --showformat "\${Package}\n" "nmstate-ipsec*")' >/dev/null ;;
    esac
}

# What the copy has and the host has not, but for what dpkg and rpm note down themselves.
changed() {
    (cd "$dir/changes" && find . \( -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache \) -prune -o -print) |
        while read -r path; do
            # A device stands for what is gone.
            if [ -c "$dir/changes/$path" ]; then
                continue
            fi
            if [ ! -d "$dir/changes/$path" ] || [ ! -d "/$path" ]; then
                echo "${path#.}"
            fi
        done | LC_ALL=C sort
}

# What is there now and was not before.
left() {
    changed | comm -13 "$dir/before" - | sed "s|^|left by $1: |"
    (cd "$dir/root" && find run -name '*nmstate*' ! -path run/packages/\*) | sed "s|^|left by $1: /|"
}

# Runs a command, and prints what it said if it failed.
expect() {
    step=$1
    shift
    if said=$("$@" 2>&1); then
        echo "$step."
    else
        printf '%s\n' "$said" | sed "s|^|$step: |"
    fi
}

# Makes an RPM package of that name that has nothing in it, and prints where it is.
other_package() {
    inside sh -c '
        mkdir -p /run/others
        printf "%s\n" "Name: $1" "Version: 999" "Release: 1" "Summary: of others" "License: MIT" "BuildArch: noarch" \
            "%description" "of others" "%files" >/run/others/spec
        HOME=/run/others rpmbuild --quiet --define "_topdir /run/others" -bb /run/others/spec >/dev/null 2>&1
        echo "/run/others/RPMS/noarch/$1-999-1.noarch.rpm"' sh "$1"
}

# What rpm misses, and what it says is in conflict, if these packages are to be installed where there is nothing else.
# Libraries are among the relations of each package.
complaints() {
    inside sh -c 'HOME=/run/others rpm --dbpath /run/otherdb --upgrade --test --nosignature "$@"' sh "$@" 2>&1 |
        sed -n -e 's/^\t\(.*\) is needed by \(.*\)-[^-]*-[^-]*$/\2 needs \1/p' \
            -e 's/^\t\(.*\) conflicts with \(.*\)-[^-]*-[^-]*$/\2 is in conflict with \1/p' |
        grep -v ' needs \(lib.*\.so\|rtld(\)' | LC_ALL=C sort -u
}

# What the packages that ours require would bring.
inside sh -c '
    mkdir -p /usr/lib/NetworkManager/VPN /usr/lib/NetworkManager/dispatcher.d/no-wait.d /usr/share/licenses \
        /usr/share/bash-completion/completions /usr/share/fish/vendor_completions.d /usr/share/zsh/site-functions \
        /etc/NetworkManager/system-connections
    for unit in NetworkManager ipsec nftables; do
        if [ ! -e /usr/lib/systemd/system/$unit.service ]; then
            printf "[Service]\nExecStart=/bin/true\n" >/usr/lib/systemd/system/$unit.service
        fi
    done'
changed >"$dir/before"

if [ "$kind" = rpm ]; then
    ours=$(inside sh -c 'echo /run/packages/*.rpm')
    # shellcheck disable=SC2086 # No name has a blank.
    complaints $ours | sed 's/^/requirements: /'
    for other in NetworkManager-libreswan nmstate; do
        # shellcheck disable=SC2086
        complaints $ours "$(other_package $other)" | grep conflict | sed "s/^/beside $other: /"
    done
    # shellcheck disable=SC2046
    complaints $(printf '%s\n' $ours | grep -v selinux) "$(other_package selinux-policy-targeted)" | grep selinux |
        sed 's/^/with the targeted policy, without our module: /'
    inside rm -rf /run/others /run/otherdb
fi

expect installation install_packages
expect upgrade install_packages
(cd "$dir/root/etc/systemd/system" && find . -lname '*nmstate-ipsec*') | LC_ALL=C sort | sed 's|^\./|enabled: |'
if [ "$kind" = rpm ]; then
    expect "rpm --verify" inside sh -c 'rpm --dbpath /run/rpmdb --verify --nodeps $(rpm --dbpath /run/rpmdb --query --all)'
else
    expect "dpkg --verify" inside sh -c 'test -z "$(dpkg --verify nmstate-ipsec nmstate-ipsec-network-manager)"'
fi
# It takes its time, and only what reads certificates needs it.
(cd "$dir/root" && grep -l 'libcrypto\.so' usr/bin/nmstate-ipsec usr/libexec/n*) | sed 's|^|loads OpenSSL: /|'
expect self-test inside /usr/libexec/nmstate-ipsec-self-test
for unit in $units; do
    case $unit in
    *.service)
        expect "exposure of $unit" inside systemd-analyze security --no-pager --offline=true --threshold=$exposure \
            "/usr/lib/systemd/system/$unit"
        ;;
    esac
done

# What people make, and what the programs keep.
inside sh -c '
    echo bundle >/etc/nmstate-ipsec/certs/left.p12
    echo label >/etc/nmstate-ipsec/node-labels
    mkdir -p /var/lib/nmstate-ipsec/guard /run/nmstate-ipsec/taken-down
    echo profile >/etc/NetworkManager/system-connections/left.nmconnection
    echo rules >/var/lib/nmstate-ipsec/guard/uuid.nft'
expect removal remove_packages
left removal
if [ "$kind" = deb ]; then
    expect purge inside sh -c 'dpkg --purge $(dpkg-query --show --showformat "\${Package}\n" "nmstate-ipsec*")'
    left purge
fi
