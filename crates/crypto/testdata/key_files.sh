#!/bin/sh
# Writes a key file, the same encrypted, and a certificate with openssl alone, from docs/reference/key-files.md.
# usage: key_files.sh SEED_IN_HEX PASSPHRASE; writes key.pem, encrypted.pem and certificate.pem here.
set -eu
seed=$1 passphrase=$2
arc=1.2.840.113556.1.8000.2554.28380.35535.47627.19125.34232.10458768.15301350

hex() { od -An -v -tx1 | tr -d ' \n'; }
derive() {
  openssl kdf -binary -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexkey:$seed" \
    -kdfopt "hexinfo:$(printf 'countersign/1 %s\0' "$1" | hex)" HKDF | hex
}
encode() { openssl asn1parse -genconf "$1.conf" -noout -out "$1.der"; }
pem() { printf -- '-----BEGIN %s-----\n' "$2"; openssl base64 -in "$1.der"; printf -- '-----END %s-----\n' "$2"; }

cat > key.conf <<X
asn1 = SEQUENCE:key
[key]
version = INTEGER:0
algorithm = SEQUENCE:ed25519
key = OCTWRAP,FORMAT:HEX,OCTETSTRING:$(derive "identity signing")
attributes = IMPLICIT:0,SET:attributes
[ed25519]
oid = OID:1.3.101.112
[attributes]
seed = SEQUENCE:attribute
[attribute]
oid = OID:$arc.2
values = SET:values
[values]
seed = FORMAT:HEX,OCTETSTRING:$seed
X
encode key
pem key "PRIVATE KEY" > key.pem

salt=$(openssl rand -hex 16) iv=$(openssl rand -hex 16)
secret=$(openssl kdf -binary -keylen 32 -kdfopt "pass:$passphrase" -kdfopt "hexsalt:$salt" \
  -kdfopt n:16384 -kdfopt r:8 -kdfopt p:5 SCRYPT | hex)
openssl enc -aes-256-cbc -K "$secret" -iv "$iv" -in key.der -out key.enc
cat > encrypted.conf <<X
asn1 = SEQUENCE:encrypted
[encrypted]
algorithm = SEQUENCE:pbes2
data = FORMAT:HEX,OCTETSTRING:$(hex < key.enc)
[pbes2]
oid = OID:1.2.840.113549.1.5.13
parameters = SEQUENCE:parameters
[parameters]
kdf = SEQUENCE:scrypt
cipher = SEQUENCE:cipher
[scrypt]
oid = OID:1.3.6.1.4.1.11591.4.11
parameters = SEQUENCE:cost
[cost]
salt = FORMAT:HEX,OCTETSTRING:$salt
n = INTEGER:16384
r = INTEGER:8
p = INTEGER:5
[cipher]
oid = OID:2.16.840.1.101.3.4.1.42
iv = FORMAT:HEX,OCTETSTRING:$iv
X
encode encrypted
pem encrypted "ENCRYPTED PRIVATE KEY" > encrypted.pem

cat > agreement.conf <<X
asn1 = SEQUENCE:key
[key]
version = INTEGER:0
algorithm = SEQUENCE:x25519
key = OCTWRAP,FORMAT:HEX,OCTETSTRING:$(derive "identity agreement")
[x25519]
oid = OID:1.3.101.110
X
encode agreement
openssl pkey -inform DER -in agreement.der -pubout -outform DER | tail -c 32 > agreement.pub
openssl pkey -in key.pem -pubout -outform DER | tail -c 32 > signing.pub
digest=$(openssl dgst -sha256 -binary signing.pub | hex | cut -c 1-32)
serial=$(printf '%02x' $((0x$(printf %s "$digest" | cut -c 1-2) & 0x3f | 0x40)))$(printf %s "$digest" | cut -c 3-)
cat > tbs.conf <<X
asn1 = SEQUENCE:tbs
[tbs]
version = EXPLICIT:0,INTEGER:2
serial = INTEGER:0x$serial
algorithm = SEQUENCE:ed25519
issuer = SEQUENCE:name
validity = SEQUENCE:validity
subject = SEQUENCE:name
key = SEQUENCE:spki
extensions = EXPLICIT:3,SEQUENCE:extensions
[ed25519]
oid = OID:1.3.101.112
[name]
cn = SET:names
[names]
cn = SEQUENCE:cn
[cn]
oid = OID:2.5.4.3
value = UTF8String:countersign identity
[validity]
from = UTCTIME:000101000000Z
to = GENERALIZEDTIME:99991231235959Z
[spki]
algorithm = SEQUENCE:ed25519
key = FORMAT:HEX,BITSTRING:$(hex < signing.pub)
[extensions]
agreement = SEQUENCE:extension
[extension]
oid = OID:$arc.1
value = OCTWRAP,FORMAT:HEX,OCTETSTRING:$(hex < agreement.pub)
X
encode tbs
openssl pkeyutl -sign -rawin -inkey key.pem -in tbs.der -out signature
{ cat tbs.conf; echo "[certificate]"; echo "tbs = SEQUENCE:tbs"; echo "algorithm = SEQUENCE:ed25519"
  echo "signature = FORMAT:HEX,BITSTRING:$(hex < signature)"; } | sed 's/^asn1 = .*/asn1 = SEQUENCE:certificate/' > certificate.conf
encode certificate
pem certificate "CERTIFICATE" > certificate.pem
