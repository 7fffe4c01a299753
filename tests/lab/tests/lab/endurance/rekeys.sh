# Called with pluto's run directory, a connection's name, "ike" or "child", and a number: has pluto rekey the connection's
# IKE SA or its child SAs that often, each as soon as the last rekey has left one IKE SA, or one pair of child SAs, all new.
run=$1 name=$2 kind=$3 times=$4

whack() { /usr/libexec/ipsec/whack --ctlsocket "$run/pluto.ctl" "$@"; }
# libreswan 5 renamed it.
child=--rekey-child
whack --help 2>&1 | grep -q -e --rekey-child || child=--rekey-ipsec

ike_sas() { whack --status | grep -oE "#[0-9]+: \"$name\"[^ ]* (STATE_V2_)?ESTABLISHED_IKE_SA" | sed 's/:.*//' || true; }
child_sas() { ip xfrm state list nokeys | grep -oE 'proto esp spi 0x[0-9a-f]+' | sed 's/.* //' || true; }

# Waits until the function $1 lists $2 SAs, none of them among the lines $3.
await_others() {
    deadline=$((SECONDS + 60))
    until now=$($1); [ "$(wc -w <<<"$now")" -eq "$2" ] && ! grep -qxF "$3" <<<"$now"; do
        if [ $SECONDS -ge $deadline ]; then
            echo "there were: $3; there are: $now" >&2
            whack --status >&2
            exit 1
        fi
        sleep 0.1
    done
}

for _ in $(seq "$times"); do
    if [ "$kind" = ike ]; then
        before=$(ike_sas)
        whack --name "$name" --rekey-ike >/dev/null
        await_others ike_sas 1 "$before"
    else
        before=$(child_sas)
        whack --name "$name" $child >/dev/null
        await_others child_sas 2 "$before"
    fi
done
