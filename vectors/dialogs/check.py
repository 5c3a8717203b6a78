"""Reads the dialogs in this folder with the cryptography package alone, written from docs/protocol.

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
    .venv/bin/python check.py

It plays the client of each login of a service and each resumption, with the private keys of the site beside,
opens and reads every packet, follows new keys, and opens and verifies every message of the tickets of edition v2.
The logins of persons need OPAQUE, which the package does not have; edition v1 has recordings of another
implementation (vectors/serveros). Each value that it works out is compared with the file's.
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
    print(f"{read} files read")
    return 0 if read else "no dialogs here"


if __name__ == "__main__":
    sys.exit(main())
