"""aiosmtpd as a submission server that hands on what it takes: its own Controller, its own Proxy handler, AUTH and STARTTLS."""

import signal
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Proxy
from aiosmtpd.smtp import AuthResult

host, port, sink_host, sink_port, chain, key, login, password = sys.argv[1:]


def authenticate(server, session, envelope, mechanism, data):
    known = data.login == login.encode() and data.password == password.encode()
    return AuthResult(success=known, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(chain, key)
controller = Controller(
    Proxy(sink_host, int(sink_port)),
    hostname=host,
    port=int(port),
    server_hostname="relay.clinic.example",
    tls_context=context,
    authenticator=authenticate,
    auth_required=True,
    auth_require_tls=True,
    enable_SMTPUTF8=True,
)
controller.start()
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
ended.wait()
controller.stop()
