# Makes the world of a test around the guest, which is the host called left.
#
#   left (root namespace)          wire                    right
#   net0 192.0.2.251 ---- left0 [bridge br0] right0 ---- net0 192.0.2.252
#        2001:db8:2::251                                      2001:db8:2::252
#                                                          behind 198.51.100.1, 2001:db8:51::1
#
# Captures are taken on the bridge: on a host's own card they would show packets after decryption, too.
set -eu

ip netns add wire
ip netns add right
ip netns exec wire sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip -n wire link add br0 type bridge forward_delay 0 mcast_snooping 0
ip -n wire link set br0 up
# the guest's own namespace has no name, but process 1 is in it
for host in left:1 right:right; do
    end="${host%:*}0"
    ip -n wire link add "$end" type veth peer name net0 netns "${host#*:}"
    ip -n wire link set "$end" master br0 up
done

ip -n right link set lo up
ip -n right link add behind type dummy
# Without duplicate address detection the addresses are usable at once; pluto skips tentative ones.
ip -n right address add 198.51.100.1/32 dev behind
ip -n right address add 2001:db8:51::1/128 dev behind nodad
ip -n right link set behind up
ip -n right address add 192.0.2.252/24 dev net0
ip -n right address add 2001:db8:2::252/64 dev net0 nodad
ip -n right link set net0 up
# what right assigns to its peers is beyond them
ip -n right route add default via 192.0.2.251
ip -n right route add default via 2001:db8:2::251

nmcli connection load /etc/NetworkManager/system-connections/base.nmconnection
nmcli --wait 60 connection up base
