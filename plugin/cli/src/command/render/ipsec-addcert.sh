#!/bin/bash
# Imports certificates into libreswan's NSS database; made by 'nmstate-ipsec render machine-config --script'.
#
# The documented commands are for a database that has none of them yet. Run again with a renewed bundle, pk12util leaves
# the old certificate beside the new one, or calls the new one something else if its subject is another; certutil reads
# only the first authority of ca.pem, and refuses another one as 'CA'. So this looks first, leaves what is as it should be,
# and takes out what has been replaced.
set -euo pipefail
umask 077

certs_dir=/etc/pki/certs
nss_dir=/var/lib/ipsec/nss
run_dir=/run
nicknames=(@NICKNAMES@)

# What goes by a nickname in a database, in PEM; nothing if nothing does.
held() {
    certutil -L -d "$1" -n "$2" -a 2>/dev/null | tr -d '\r' || true
}

# How much goes by a nickname.
count() {
    held "$nss" "$1" | grep -c 'BEGIN CERTIFICATE' || true
}

# Takes out what goes by a nickname, with its keys.
remove() {
    local left
    left=$(count "$1")
    while [ "$left" -gt 0 ]; do
        # It takes a certificate with its key; one without a key it leaves, whatever its exit status.
        certutil -F -d "$nss" -n "$1" >/dev/null 2>&1 || true
        if [ "$(count "$1")" -eq "$left" ]; then
            certutil -D -d "$nss" -n "$1"
        fi
        left=$(count "$1")
    done
}

work=$(mktemp -d "$run_dir/ipsec-addcert.XXXXXX")
trap 'rm -rf "$work"' EXIT
nss=sql:$nss_dir
scratch=sql:$work/nss

if [ ! -e "$nss_dir/cert9.db" ]; then
    # ipsec.service would make it, but comes later.
    mkdir -p "$nss_dir"
    certutil -N -d "$nss" --empty-password
fi

# A database of their own shows what the bundles hold, and a bundle that cannot be imported fails there.
mkdir "$work/nss"
certutil -N -d "$scratch" --empty-password
for nickname in "${nicknames[@]}"; do
    pk12util -i "$certs_dir/$nickname.p12" -d "$scratch" -W "" >/dev/null
    if [ -z "$(held "$scratch" "$nickname")" ]; then
        echo "$certs_dir/$nickname.p12 has another friendly name than '$nickname'" >&2
        exit 1
    fi
done

# A file for each authority, by its nickname: CA, as documented, CA 2 and so on.
mkdir "$work/authorities"
number=0
while IFS= read -r line; do
    if [ "$line" = '-----BEGIN CERTIFICATE-----' ]; then
        number=$((number + 1))
        name=CA
        if [ "$number" -gt 1 ]; then
            name="CA $number"
        fi
    fi
    echo "$line" >>"$work/authorities/$name"
done <"$certs_dir/ca.pem"
# Those that are others now go first: a nickname stands for one subject.
listed=$(certutil -L -d "$nss" | sed -nE 's/^(CA( [0-9]+)?) +[^ ]*,[^ ]*,[^ ]*$/\1/p' | sort -u)
while IFS= read -r name; do
    if [ -n "$name" ] && ! held "$nss" "$name" | cmp -s - "$work/authorities/$name"; then
        remove "$name"
        echo "authority '$name': the former one is taken out"
    fi
done <<<"$listed"
for authority in "$work"/authorities/*; do
    certutil -A -d "$nss" -n "${authority##*/}" -t CT,C,C -i "$authority"
done

for nickname in "${nicknames[@]}"; do
    wanted=$(held "$scratch" "$nickname")
    if [ "$(held "$nss" "$nickname")" = "$wanted" ] && certutil -K -d "$nss" -n "$nickname" >/dev/null 2>&1; then
        echo "$nickname: there already"
    else
        # The old one first, because the two could not be told apart. If this stops here, the next start imports it.
        remove "$nickname"
        pk12util -i "$certs_dir/$nickname.p12" -d "$nss" -W ""
        if [ "$(held "$nss" "$nickname")" != "$wanted" ]; then
            echo "$nickname: $nss_dir has its subject under another nickname; see 'certutil -L -d $nss', take that out with 'certutil -F'" >&2
            exit 1
        fi
        echo "$nickname: imported"
    fi
    certutil -M -d "$nss" -n "$nickname" -t u,u,u
done
