# Applies two documents in turns and kills VICTIM (daemon, networkmanager or command) at one of its system calls CALLS while it is at it:
# at the FIRST one, then at each STEP-th after it, until it comes through. Prints a line for each: the number of the call,
# the command's exit status, and which document the host has after that. It must have one of them as a whole.
set +e
mkdir -p /run/lab

fail() {
    echo "$*" >&2
    exit 1
}

# What the host has of a document, without what changes when it is used.
profile() {
    {
        grep -v timestamp /etc/NetworkManager/system-connections/hosta_conn.nmconnection
        ip -o link show dummy7 | grep -o 'mtu [0-9]*'
    } 2>/dev/null | sha256sum
}

checkpoints() {
    busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
        org.freedesktop.NetworkManager Checkpoints 2>/dev/null
}

# Up, and nothing open.
settled() {
    [ -z "$(find /var/lib/nmstate-ipsec -type f)" ] &&
        [ "$(ip xfrm state | grep -c '^src')" -ge 2 ] &&
        [ "$(checkpoints)" = "ao 0" ] &&
        nmcli -t -f NAME,STATE connection show --active | grep -q '^hosta_conn:activated$'
}

# Within a checkpoint's time-out, and what undoing takes after it.
await_settled() {
    for _ in $(seq 400); do
        settled && return
        sleep 0.2
    done
    fail "call $number: not settled: journal '$(find /var/lib/nmstate-ipsec -type f)', checkpoints '$(checkpoints)'," \
        "$(ip xfrm state | grep -c '^src') SAs, $(nmcli -t -f NAME,STATE connection show --active | tr '\n' ' ')"
}

follow=
case $VICTIM in
networkmanager)
    unit=NetworkManager.service
    # It has a thread for the bus.
    follow=-f
    ;;
*) unit=nmstate-ipsecd.service ;;
esac

main_pid() {
    systemctl show --property MainPID --value $unit
}

apply() {
    nmstate-ipsec apply --timeout 20 "/root/$1.yaml" >/run/lab/apply.log 2>&1
}

number=0
declare -A is
for name in one two; do
    apply "$name" || fail "$name is not applied: $(cat /run/lab/apply.log)"
    await_settled
    is[$name]=$(profile)
done
[ "${is[one]}" != "${is[two]}" ] || fail "the documents do not differ"

has=two
for number in $(seq "$FIRST" "$STEP" 3000); do
    wanted=one
    [ $has = two ] || wanted=two
    inject="$CALLS:signal=KILL:when=$number"
    if [ "$VICTIM" != command ]; then
        before=$(main_pid)
        strace $follow -o /dev/null -e trace="$CALLS" -e inject="$inject" -p "$before" 2>/run/lab/strace.log &
        tracer=$!
        until grep -q attached /run/lab/strace.log; do
            kill -0 $tracer || fail "strace: $(cat /run/lab/strace.log)"
            sleep 0.05
        done
        apply $wanted
        status=$?
        after=$(main_pid)
        kill -INT $tracer 2>/dev/null
        wait $tracer
        [ "$before" = "$after" ] && killed=no || killed=yes
        if [ $VICTIM$killed$status = networkmanageryes0 ]; then
            # It was killed after the commit. What was up before, a NetworkManager that is started does not bring up.
            nm-online -s -q --timeout=60
            apply $wanted
        fi
    else
        strace -o /dev/null -e trace="$CALLS" -e inject="$inject" \
            nmstate-ipsec apply --timeout 20 "/root/$wanted.yaml" >/run/lab/apply.log 2>&1
        status=$?
        [ $status -ge 128 ] && killed=yes || killed=no
    fi
    await_settled
    # NetworkManager answers a rollback before the device has come up again as it was.
    has=
    for _ in $(seq 100); do
        case "$(profile)" in
        "${is[one]}") has=one ;;
        "${is[two]}") has=two ;;
        esac
        [ -z "$has" ] || break
        sleep 0.2
    done
    [ -n "$has" ] || fail "call $number: the host has neither of the two documents"
    [ $status -ne 0 ] || [ $has = $wanted ] || fail "call $number: applied, but it is not there"
    echo "$number $status $has $killed"
    systemctl reset-failed $unit
    [ $killed = yes ] || break
done
[ $killed = no ] || fail "it never came through"
[ $status = 0 ] || fail "it was not killed, but ended with $status: $(cat /run/lab/apply.log)"
