# Does what a package's installation does after its files are there.
set -eu
if aa-enabled --quiet 2>/dev/null; then
    apparmor_parser --replace --write-cache /etc/apparmor.d/nmstate-ipsec
fi
systemd-tmpfiles --create nmstate-ipsec.conf
systemctl daemon-reload
systemctl reload dbus.service
for unit in /usr/lib/systemd/system/nmstate-ipsec*; do
    if [ -e "$unit" ] && grep -q '^\[Install\]' "$unit"; then
        case $unit in
            *.path) systemctl enable --now --quiet "${unit##*/}" ;;
            *) systemctl enable --quiet "${unit##*/}" ;;
        esac
    fi
done
# NetworkManager reads the descriptions of its VPN plugins when it starts, and only then.
systemctl restart NetworkManager.service
nm-online -s -q --timeout=60
if [ -e /etc/NetworkManager/system-connections/base.nmconnection ]; then
    nmcli --wait 60 connection up base
fi
