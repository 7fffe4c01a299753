# Issues another certificate for left, with a new key, by the authority of the lab, into /etc/lab-pki/new.p12.
# Environment: SUBJECT, the certificate's; DAYS, until it expires, from now on or before.
set -eu
umask 077
cd /etc/lab-pki
openssl genrsa -out new.key 2048 2> new.dots
openssl req -new -key new.key -subj "$SUBJECT" -out new.csr
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
openssl ca -batch -config issue.conf -cert ca.pem -keyfile ca.key -in new.csr -extfile left.ext -notext -md sha256 \
    -startdate 20200101000000Z -enddate "$(date -u -d "${DAYS:-365} days" +%Y%m%d%H%M%SZ)" -out new.pem 2> new.dots ||
    { cat new.dots >&2; exit 1; }
openssl pkcs12 -export -name new -inkey new.key -in new.pem -passout pass: -out new.p12
