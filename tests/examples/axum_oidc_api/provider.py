"""A provider of access tokens (RFC 9068) on loopback, made of Authlib and Flask, which share no code with what is tested.

Writes its address. A line in, a line out: "rotate" has it sign with another key from then on, and publish only that.
"""

import os
import sys
import threading

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server


def new_key():
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


class Job(ClientMixin):
    """The one client, a program."""

    def get_client_id(self):
        return "job"

    def get_allowed_scope(self, scope):
        return scope

    def check_client_secret(self, client_secret):
        return client_secret == "secret"

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


class Tokens(JWTBearerTokenGenerator):
    """For whom a token is, and for how long, is what the test asks for."""

    def get_jwks(self):
        return keys

    def get_audiences(self, client, user, scope):
        return request.form["audience"]

    def _get_expires_in(self, client, grant_type):
        return int(request.form["expires_in"])


keys = KeySet([new_key()])
app = Flask(__name__)
http = make_server("127.0.0.1", 0, app, threaded=True)
issuer = f"http://127.0.0.1:{http.port}"
server = AuthorizationServer(app, query_client=lambda _: Job(), save_token=lambda *_: None)
server.register_token_generator("default", Tokens(issuer))
server.register_grant(grants.ClientCredentialsGrant)


@app.get("/.well-known/openid-configuration")
def discovery():
    return jsonify(issuer=issuer, jwks_uri=f"{issuer}/jwks", token_endpoint=f"{issuer}/token")


@app.get("/jwks")
def published():
    return jsonify(keys.as_dict(private=False))


@app.post("/token")
def token():
    return server.create_token_response()


threading.Thread(target=http.serve_forever, daemon=True).start()
print(issuer, flush=True)
for line in sys.stdin:
    if line.strip() == "rotate":
        keys = KeySet([new_key()])
    print("done", flush=True)
