"""Verifies the dialogs in this folder. Written from docs/protocol; depends on the cryptography package only.

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
    .venv/bin/python check.py

It plays the client of each service login and each resumption, and also has the site's private keys. It opens and
reads every packet, applies new keys, and opens and verifies every message of the tickets of edition v2. It compares
each derived value with the file's. It does not cover the logins of persons, which need OPAQUE, nor edition v1, for
which vectors/serveros has recordings of another implementation.
"""

import json
import pathlib
import sys

import sessions
import tickets


def main():
    folder, read = pathlib.Path(__file__).parent, 0
    for path in sorted(folder.glob("*/*.json")):
        file = json.loads(path.read_text())
        if path.parent.name == "sessions" and "service" in file["inputs"]["account"]:
            what = f"{sessions.check(file)} packets"
        elif path.parent.name == "tickets" and "ticket_key" in file["inputs"]:
            what = f"{tickets.check(file)} messages"
        else:
            continue
        print(f"{path.parent.name}/{path.name}: {what}")
        read += 1
    print(f"{read} files verified")
    return 0 if read else "no dialogs found"


if __name__ == "__main__":
    sys.exit(main())
