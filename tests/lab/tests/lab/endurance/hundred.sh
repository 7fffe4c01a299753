# Activates and deactivates the profile $PROFILE a hundred times without waiting for either; prints how many activations
# NetworkManager took. It refuses those of a profile that is still active. The last one is taken.
taken=0
for _ in $(seq 99); do
    if nmcli --wait 0 connection up "$PROFILE" >/dev/null 2>&1; then taken=$((taken + 1)); fi
    nmcli --wait 0 connection down "$PROFILE" >/dev/null 2>&1 || true
done
nmcli --wait 0 connection up "$PROFILE" >/dev/null
echo $((taken + 1))
