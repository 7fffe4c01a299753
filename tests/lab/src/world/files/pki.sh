# Makes one authority and a certificate bundle for each host, and gives each host's NSS database its own.
#
# The bundles stay in /etc/lab-pki: ca.pem, left_server.p12 and right_server.p12, without a password.
set -eu
umask 077
mkdir -p /etc/lab-pki
cd /etc/lab-pki

openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/O=Example/CN=Lab CA" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem

# Usage: certificate HOST IPV4 IPV6 SERIAL
certificate() {
    # what it says meanwhile is only dots
    openssl genrsa -out "$1.key" 2048 2> "$1.dots" || { cat "$1.dots" >&2; return 1; }
    openssl req -new -key "$1.key" -subj "/O=Example/CN=$1.example.org" -out "$1.csr"
    cat > "$1.ext" <<EXT
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,nonRepudiation
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:$1.example.org,DNS:${1}6.example.org,IP:$2,IP:$3
EXT
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -set_serial "$4" -days 3650 -sha256 \
        -extfile "$1.ext" -out "$1.pem"
    openssl pkcs12 -export -inkey "$1.key" -in "$1.pem" -certfile ca.pem -name "$1_server" \
        -passout pass: -out "$1_server.p12"
}

# Usage: import HOST NSS_DIR
import() {
    certutil -A -d "sql:$2" -n "Lab CA" -t CT,C,C -i ca.pem
    pk12util -i "$1_server.p12" -d "sql:$2" -W ""
    certutil -M -d "sql:$2" -n "$1_server" -t u,u,u
}

certificate left 192.0.2.251 2001:db8:2::251 1 &
left_job=$!
certificate right 192.0.2.252 2001:db8:2::252 2
wait "$left_job"
mkdir -p /etc/right/nss /etc/right/ipsec.d
certutil -N -d sql:/etc/right/nss --empty-password
import right /etc/right/nss
import left /var/lib/ipsec/nss
