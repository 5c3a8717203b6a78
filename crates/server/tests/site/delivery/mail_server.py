"""A mail server that prints each message as one line of JSON.

mail_server.py [--tls starttls|implicit --cert FILE --key FILE] [--login USER PASSWORD] [--reply CODE TEXT ...]

Each --reply is the answer to one RCPT command, the first one first; then recipients are accepted.
"""

import argparse
import asyncio
import email
import email.policy
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

arguments = argparse.ArgumentParser()
arguments.add_argument("--tls", choices=["starttls", "implicit"])
arguments.add_argument("--cert")
arguments.add_argument("--key")
arguments.add_argument("--login", nargs=2)
arguments.add_argument("--echo-password", action="store_true")
arguments.add_argument("--reply", action="append", default=[])
given = arguments.parse_args()


def tell(document):
    print(json.dumps(document), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if given.reply:
            reply = given.reply.pop(0)
            tell({"replied": reply})
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in message.iter_parts()}
        tell(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "headers": [[name, str(value)] for name, value in message.items()],
                "parts": parts,
                "defects": [str(defect) for defect in message.defects],
                "tls": session.ssl is not None,
                "user": session.auth_data,
                "helo": session.host_name,
            }
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    tell({"mechanism": mechanism, "encrypted": session.ssl is not None or given.tls == "implicit"})
    user, password = given.login
    if data == LoginPassword(user.encode(), password.encode()):
        return AuthResult(success=True, auth_data=user)
    reply = "535 5.7.8 wrong password"
    if given.echo_password:
        reply += " " + data.password.decode()
    return AuthResult(success=False, handled=False, message=reply)


context = None
if given.tls:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(given.cert, given.key)


def connection():
    return SMTP(
        Handler(),
        tls_context=context if given.tls == "starttls" else None,
        require_starttls=given.tls == "starttls",
        auth_required=given.login is not None,
        auth_require_tls=given.tls == "starttls",
        authenticator=authenticate if given.login else None,
        hostname="mail.example.org",
    )


async def serve():
    loop = asyncio.get_running_loop()
    implicit = context if given.tls == "implicit" else None
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=implicit)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
