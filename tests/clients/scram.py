"""Logs in with SCRAM-SHA-256 (RFC 5802, RFC 7677), written from the RFCs with hashlib and hmac only, and sends one message.

Arguments: the password, the flag that says what it knows of channel binding ("n" or "y"), and what to spoil: "nothing" or
"signature". It checks the server's signature, and fails where that is not the one of somebody who knows the verifier.
"""

import base64
import hashlib
import hmac
import os
import secrets
import smtplib
import ssl
import sys

password, flag, spoil = sys.argv[1:4]
context = ssl.create_default_context(cafile=os.environ["CA"])
server = smtplib.SMTP(os.environ["HOST"], int(os.environ["STARTTLS"]), local_hostname="ehr", timeout=20)
server.ehlo()
server._host = os.environ["NAME"]
server.starttls(context=context)
server.ehlo()
assert "SCRAM-SHA-256" in server.esmtp_features["auth"].split(), server.esmtp_features


def encoded(text):
    return base64.b64encode(text.encode()).decode()


header = f"{flag},,"
bare = f"n=ehr,r={secrets.token_hex(12)}"
code, told = server.docmd("AUTH", f"SCRAM-SHA-256 {encoded(header + bare)}")
if code != 334:
    sys.exit(f"refused at once: {code} {told.decode()}")
first = base64.b64decode(told).decode()
fields = dict(part.split("=", 1) for part in first.split(","))
assert fields["r"].startswith(bare.split("r=")[1]) and int(fields["i"]) >= 4096
salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))


def keyed(key, text):
    return hmac.new(key, text.encode(), "sha256").digest()


client_key = keyed(salted, "Client Key")
unproved = f"c={encoded(header)},r={fields['r']}"
everything = f"{bare},{first},{unproved}"
signature = keyed(hashlib.sha256(client_key).digest(), everything)
proof = bytes(one ^ other for one, other in zip(client_key, signature))
if spoil == "signature":
    proof = bytes(32)
code, told = server.docmd(encoded(f"{unproved},p={base64.b64encode(proof).decode()}"))
if code != 334:
    sys.exit(f"refused: {code} {told.decode()}")
expected = base64.b64encode(keyed(keyed(salted, "Server Key"), everything)).decode()
assert base64.b64decode(told).decode() == f"v={expected}", "the server does not know the verifier"
code, told = server.docmd("")
assert code == 235, told
refused = server.sendmail("ann@clinic.example", ["results@lab.example"], os.environ["LETTER"])
assert refused == {}
server.quit()
