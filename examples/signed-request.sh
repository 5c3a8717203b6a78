#!/bin/sh
# Calls the REST API of a site with a request that a service signs (RFC 9421), with openssl and curl.
#
# signed-request.sh KEY SITE METHOD URL [BODY]
#
# KEY is the key file of the service, as `countersign key new` writes it; its certificate is KEY.pub.
# SITE is the site's id, as `countersign site status` shows it. BODY is a file with JSON. The body of
# the response goes to standard output, and its status to standard error.
set -eu

key=$1 site=$2 method=$3 url=$4 body=${5:-}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

base64_of() { openssl base64 -A; }

# The URI as the site rebuilds it: the host with its port, unless that is the default of the scheme.
scheme=${url%%://*}
rest=${url#*://}
host=${rest%%/*}
path=/${rest#"$host/"}
case $scheme in
https) authority=${host%:443} ;;
*) authority=${host%:80} ;;
esac
keyid=$(openssl x509 -in "$key.pub" -outform DER | openssl dgst -sha256 -r | cut -d ' ' -f 1)
created=$(date +%s)
nonce=$(openssl rand -hex 16)

# What is signed, one component a line: method, host, URI, and the digest of the body (RFC 9530).
covered='"@method" "@authority" "@target-uri"'
{
    printf '"@method": %s\n' "$method"
    printf '"@authority": %s\n' "$authority"
    printf '"@target-uri": %s\n' "$scheme://$authority$path"
} >"$folder/base"
set -- -H "accept: application/json"
if [ -n "$body" ]; then
    digest="sha-256=:$(openssl dgst -sha256 -binary "$body" | base64_of):"
    covered="$covered \"content-digest\""
    printf '"content-digest": %s\n' "$digest" >>"$folder/base"
    set -- "$@" -H "content-type: application/json" -H "content-digest: $digest" --data-binary "@$body"
fi
input="($covered);created=$created;expires=$((created + 60));nonce=\"$nonce\";keyid=\"$keyid\";tag=\"$site\""
# No line break at the end.
printf '"@signature-params": %s' "$input" >>"$folder/base"
signature=$(openssl pkeyutl -sign -rawin -inkey "$key" -in "$folder/base" | base64_of)

curl -sS -X "$method" "$@" -H "signature-input: own=$input" -H "signature: own=:$signature:" \
    -w '%{stderr}%{http_code}\n' "$url"
