"""Python's smtplib sends each kind of message by both doors. What it sent lies afterwards in the folder SENT.

With TRUST=no it is given no authority to trust, and has to turn away from both doors.
"""

import os
import smtplib
import ssl
import sys
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from io import BytesIO

HOST, NAME, PASSWORD, SENT = (os.environ[key] for key in ("HOST", "NAME", "PASSWORD", "SENT"))
DOORS = {"starttls": int(os.environ["STARTTLS"]), "tls": int(os.environ["TLS"])}
TRUSTED = os.environ["TRUST"] == "yes"
MECHANISMS = ["PLAIN", "LOGIN", "own"]
KINDS = ["text", "html", "attachment", "eight-bit", "utf8", "smtputf8"]


def compose(kind, recipient):
    message = EmailMessage(policy=SMTPUTF8 if kind == "smtputf8" else SMTP)
    message["From"] = "Ann Lee <ann@clinic.example>"
    message["To"] = recipient
    message["Subject"] = "Größe der Röntgenbilder" if "utf8" in kind else "Results"
    message["Date"] = "Tue, 24 Nov 2026 08:00:00 +0000"
    message["Message-ID"] = f"<{kind}@clinic.example>"
    if kind == "eight-bit":
        message.set_content("Résultats\n.\n..dots\n", charset="iso-8859-1", cte="8bit")
    elif "utf8" in kind:
        message.set_content("Größe: 結果 🩺\n", cte="8bit")
    else:
        message.set_content("Results\n.\n..dots\n")
    if kind == "html":
        message.add_alternative("<p>R&eacute;sultats</p>\n", subtype="html")
    if kind == "attachment":
        message.add_attachment(bytes(range(256)) * 40, "application", "octet-stream", filename="Ergebnis für Ann.bin")
    if message.is_multipart():
        # Otherwise it chooses another one each time that it writes the message.
        message.set_boundary("boundary")
    return message


class Connection(smtplib.SMTP):
    """A connection that checks the certificate for NAME, wherever it leads."""

    def starttls(self, **settings):
        self._host = NAME
        return super().starttls(**settings)


class Secured(smtplib.SMTP_SSL):
    def _get_socket(self, host, port, timeout):
        self._host = NAME
        return super()._get_socket(host, port, timeout)


def connect(door):
    context = ssl.create_default_context(cafile=os.environ["CA"] if TRUSTED else None)
    if door == "tls":
        return Secured(HOST, DOORS[door], context=context, timeout=20)
    connection = Connection(HOST, DOORS[door], timeout=20)
    connection.starttls(context=context)
    return connection


def login(connection, mechanism, initial):
    if mechanism == "own":
        connection.login("ehr", PASSWORD)
        return
    connection.ehlo()
    connection.user, connection.password = "ehr", PASSWORD
    how = connection.auth_plain if mechanism == "PLAIN" else connection.auth_login
    code, _ = connection.auth(mechanism, how, initial_response_ok=initial)
    assert code == 235, code


def send(door, at, kind):
    name = f"{door}-größe" if kind == "smtputf8" else f"{door}-{kind}"
    message = compose(kind, f"{name}@lab.example")
    connection = connect(door)
    login(connection, MECHANISMS[at % 3], initial=at < 3)
    options = ["BODY=8BITMIME"] if kind in ("eight-bit", "utf8") else []
    refused = connection.send_message(message, mail_options=options)
    assert refused == {}, refused
    connection.quit()
    written = BytesIO()
    BytesGenerator(written, policy=message.policy, maxheaderlen=None).flatten(message, linesep="\r\n")
    with open(f"{SENT}/{name}.eml", "wb") as file:
        file.write(written.getvalue())


def wrong_password(door):
    try:
        connect(door).login("ehr", "wrong")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
        return
    sys.exit("a wrong password was taken")


def distrust(door):
    try:
        connect(door)
    except ssl.SSLCertVerificationError as error:
        print(f"{door}: {error}")
        return
    sys.exit(f"{door}: a certificate was trusted that nobody vouches for")


for door in DOORS:
    if TRUSTED:
        for at, kind in enumerate(KINDS):
            send(door, at, kind)
        wrong_password(door)
    else:
        distrust(door)
