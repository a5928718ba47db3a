"""An independent verifier and signer: PyJWT. A line of JSON in, a line of JSON out."""

import json
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGORITHMS = ["ES256", "ES384", "EdDSA", "RS256", "PS256"]
own = {}


def verify(token, jwks, issuer, audience):
    # Without a cache: what is published at this moment counts.
    client = jwt.PyJWKClient(jwks, cache_keys=False, cache_jwk_set=False)
    key = client.get_signing_key_from_jwt(token).key
    required = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]
    claims = jwt.decode(
        token, key, algorithms=ALGORITHMS, issuer=issuer, audience=audience, options={"require": required}
    )
    return {**claims, "_header": jwt.get_unverified_header(token)}


def generate(algorithms):
    keys = []
    for name in algorithms:
        if name == "ES256":
            own[name] = ec.generate_private_key(ec.SECP256R1())
        elif name == "EdDSA":
            own[name] = ed25519.Ed25519PrivateKey.generate()
        else:
            own[name] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = jwt.get_algorithm_by_name(name).to_jwk(own[name].public_key(), as_dict=True)
        keys.append({**public, "kid": name, "alg": name, "use": "sig"})
        keys[-1].pop("key_ops", None)
    return {"keys": keys}


def answer(question):
    if "verify" in question:
        try:
            return verify(question["verify"], question["jwks"], question["issuer"], question["audience"])
        except jwt.PyJWTError as error:
            return {"error": str(error)}
    if "generate" in question:
        return generate(question["generate"])
    name = question["alg"]
    return jwt.encode(question["sign"], own[name], name, headers={"kid": name, "typ": question["typ"]})


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
