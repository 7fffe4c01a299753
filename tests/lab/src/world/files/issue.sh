# Issues another certificate with a new key into /etc/lab-pki/$NAME.p12.
# Environment: NAME; SUBJECT, the certificate's; DAYS, until it expires, negative if it has; AUTHORITY, whose certificate and key
# are in that directory; EXTENSIONS, a file there.
set -eu
umask 077
cd /etc/lab-pki
openssl genrsa -out "$NAME".key 2048 2> "$NAME".dots
openssl req -new -key "$NAME".key -subj "$SUBJECT" -out "$NAME".csr
: > index.txt
cat > issue.conf <<CONF
[ca]
default_ca = lab
[lab]
database = /etc/lab-pki/index.txt
new_certs_dir = /etc/lab-pki
rand_serial = yes
policy = any
[any]
organizationName = optional
organizationalUnitName = optional
commonName = supplied
CONF
openssl ca -batch -config issue.conf -cert "$AUTHORITY".pem -keyfile "$AUTHORITY".key -in "$NAME".csr -extfile "$EXTENSIONS" -notext -md sha256 \
    -startdate 20200101000000Z -enddate "$(date -u -d "$DAYS days" +%Y%m%d%H%M%SZ)" -out "$NAME".pem 2> "$NAME".dots ||
    { cat "$NAME".dots >&2; exit 1; }
openssl pkcs12 -export -name "$NAME" -inkey "$NAME".key -in "$NAME".pem -passout pass: -out "$NAME".p12
