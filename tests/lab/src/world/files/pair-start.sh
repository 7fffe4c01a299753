# Makes a fresh guest of a pair the host that HOST names: left or right.
set -eu
hostname "$HOST"
echo "$HOST" > /etc/hostname
if [ "$HOST" = right ]; then
    # its own certificate in place of left's
    certutil -F -d sql:/var/lib/ipsec/nss -n left_server
    pk12util -i /etc/lab-pki/right_server.p12 -d sql:/var/lib/ipsec/nss -W ""
    certutil -M -d sql:/var/lib/ipsec/nss -n right_server -t u,u,u
fi
nmcli connection load /etc/NetworkManager/system-connections/base.nmconnection
nmcli --wait 60 connection up base
systemctl start ipsec.service
