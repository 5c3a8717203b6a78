#!/usr/bin/env bash
# Registers two applications at the local site: `billing`, which may call `ledger`.
# Writes site.pub, billing.key and ledger.key, each key with its .pub and .party file, into the current folder.
# Run it once, in the folder that contains the site's folder ./site; COUNTERSIGN_DATA names another folder.
set -euo pipefail

party() {
  countersign key new --out "$1.key"
  countersign key party "$1.key" --out "$1.party"
}

countersign broker show --out site.pub > /dev/null
party ledger
countersign app create ledger --public-key ledger.party
party billing
countersign app create billing --public-key billing.party --allow ledger
