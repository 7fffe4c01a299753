# Starts IKE on both hosts. The units are ready only when pluto is; that it listens on the wire is told by
# its status, for which there is no event.
set -eu
systemctl daemon-reload
systemctl enable --quiet ipsec.service
systemctl start ipsec.service right-ipsec.service

# Usage: await_listening CONTROL_SOCKET ADDRESS...
await_listening() {
    local socket=$1 address
    shift
    for address; do
        timeout 60 bash -c 'until /usr/libexec/ipsec/whack --ctlsocket "$0" --status | grep -qF "$1"; do sleep 0.2; done' \
            "$socket" "$address"
    done
}
await_listening /run/pluto/pluto.ctl 192.0.2.251 2001:db8:2::251
await_listening /run/right/pluto.ctl 192.0.2.252 2001:db8:2::252
