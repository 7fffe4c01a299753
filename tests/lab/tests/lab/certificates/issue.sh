# Issues another certificate for left, with a new key, by the authority of the lab, into /etc/lab-pki/new.p12.
# Environment: SUBJECT, the certificate's; DAYS, until it expires.
set -eu
umask 077
cd /etc/lab-pki
openssl genrsa -out new.key 2048 2> new.dots
openssl req -new -key new.key -subj "$SUBJECT" -out new.csr
openssl x509 -req -in new.csr -CA ca.pem -CAkey ca.key -set_serial "$(date +%s%N)" -days "${DAYS:-365}" -sha256 \
    -extfile left.ext -out new.pem
openssl pkcs12 -export -name new -inkey new.key -in new.pem -passout pass: -out new.p12
