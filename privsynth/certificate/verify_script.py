"""The text of verify.sh, which lies in every release folder: verification without privsynth.

Must never need anything but a POSIX shell, the standard text tools, sha256sum and a stock openssl (3.0 or later).
"""

from __future__ import annotations

from typing import Final

TEXT: Final = r"""#!/bin/sh
# Verifies this release with standard tools: who signed it, that every file is as it was signed, that it has not expired.
#
#     sh verify.sh PUBLIC_KEY.pem [RELEASE_FOLDER]
#
# PUBLIC_KEY.pem is the publisher's Ed25519 public key, from a source that you trust; do not take it from this folder.
# Needs: sh, sed, tr, grep, sort, find, cmp, base64, sha256sum and openssl 3. Exit status 0: verified; 1: not; 2: wrong use.
# It cannot know whether the key was revoked or is of the right role: `privsynth verify --role ROLE` checks those.
set -eu
LC_ALL=C
export LC_ALL
umask 077

fail() {
    printf 'NOT VERIFIED: %s\n' "$1" >&2
    exit 1
}

if [ "$#" -lt 1 ] || [ "$#" -gt 2 ] || [ ! -f "$1" ]; then
    printf 'usage: sh verify.sh PUBLIC_KEY.pem [RELEASE_FOLDER]\n' >&2
    exit 2
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
cat -- "$1" > "$tmp/key.pem"
unset CDPATH
cd -- "${2:-$(dirname -- "$0")}" || exit 2

openssl pkeyutl -help 2>&1 | grep -q rawin || fail 'this openssl is too old: version 3.0 or later is needed'

# 1. The envelope: one line, exactly as privsynth writes it.
[ -f certificate.json ] && [ ! -L certificate.json ] || fail 'there is no certificate.json'
[ "$(grep -c '' certificate.json)" -eq 1 ] || fail 'certificate.json is not one line'
text='[A-Za-z0-9+/]+={0,2}'
head='\{"payload":"'$text'","payloadType":"application/vnd\.in-toto\+json","signatures":\['
grep -Eqx "$head"'(,?\{"keyid":"[0-9a-f]*","sig":"'"$text"'"\})+\]\}' certificate.json ||
    fail 'certificate.json is not a certificate of privsynth'
sed 's/^{"payload":"\([^"]*\)".*$/\1/' certificate.json | base64 -d > "$tmp/payload" || fail 'the payload is not base64'
sed 's/^.*"signatures":\[//' certificate.json | tr '{' '\n' | sed -n 's/^.*"sig":"\([^"]*\)".*$/\1/p' > "$tmp/signatures"

# 2. The bytes that were signed: DSSEv1 <length> <type> <length> <payload>.
type=application/vnd.in-toto+json
size=$(wc -c < "$tmp/payload" | tr -d ' ')
{
    printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$size"
    cat "$tmp/payload"
} > "$tmp/signed"
printf '\n' >> "$tmp/payload"

# 3. One of the signatures must be by the given key.
verified=no
while read -r signature; do
    printf '%s' "$signature" | base64 -d > "$tmp/signature" || fail 'a signature is not base64'
    if openssl pkeyutl -verify -pubin -inkey "$tmp/key.pem" -rawin -in "$tmp/signed" -sigfile "$tmp/signature" > /dev/null 2>&1
    then
        verified=yes
    fi
done < "$tmp/signatures"
[ "$verified" = yes ] || fail 'this key did not sign this certificate, or the certificate was changed'

# 4. The statement: which files, with which SHA-256. From here on everything read was signed.
head='{"_type":"https://in-toto\.io/Statement/v1","subject":\[\([^]]*\)\]'
tail='"predicateType":"https://privsynth\.dev/attestation/release/v0\.1","predicate":{.*}'
sed -n "s|^$head,$tail\$|\1|p" "$tmp/payload" > "$tmp/list"
[ -s "$tmp/list" ] || fail 'the signed text is not a statement about a release'
sed 's/}},{/}}\
{/g' "$tmp/list" > "$tmp/subjects"
entry='{"name":"\([A-Za-z0-9][A-Za-z0-9._/-]*\)","digest":{"sha256":"\([0-9a-f]\{64\}\)"}}'
sed -n "s|^$entry\$|\2  \1|p" "$tmp/subjects" > "$tmp/sums"
[ "$(grep -c '' "$tmp/sums")" -eq "$(grep -c '' "$tmp/subjects")" ] || fail 'the list of files cannot be read'

# 5. The files: none missing, none added, none changed.
[ -z "$(find . ! -type f ! -type d)" ] || fail 'the folder holds something that is no plain file'
{
    sed 's/^[0-9a-f]*  //' "$tmp/sums"
    printf 'certificate.json\n'
} | sort > "$tmp/expected"
find . -type f | sed 's|^\./||' | sort > "$tmp/found"
cmp -s "$tmp/expected" "$tmp/found" || fail 'a file is missing, or was added'
sha256sum -c "$tmp/sums" > "$tmp/sha256sum" 2>&1 || fail "a file was changed: $(grep -v ': OK$' "$tmp/sha256sum" | head -n 1)"

# 6. The date.
expires=$(sed 's/"expiresAt":"/\
/' "$tmp/payload" | sed -n '2s/".*$//p')
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
[ "$(printf '%s\n%s\n' "$now" "$expires" | sort | head -n 1)" = "$now" ] || fail "the certificate expired at $expires"

printf 'VERIFIED: signed by this key, %d files as they were signed, valid until %s\n' "$(grep -c '' "$tmp/sums")" "$expires"
"""
