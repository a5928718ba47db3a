# How pss.json was made, with cryptography 50.0.2: python pss.py
import base64, json
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

b64 = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
claims = {"iss": "https://idp.example", "sub": "ada", "aud": "api", "iat": 1767225600, "exp": 1767225900, "jti": "j"}
key = rsa.generate_private_key(65537, 2048)
public = key.public_key().public_numbers()
hash_of = {"PS256": hashes.SHA256, "PS384": hashes.SHA384, "PS512": hashes.SHA512}
tokens = []
for alg, algorithm in hash_of.items():
    for salt in [0, 20, algorithm.digest_size, algorithm.digest_size + 1, padding.PSS.MAX_LENGTH]:
        message = b64(json.dumps({"alg": alg, "kid": "k"}).encode()) + "." + b64(json.dumps(claims).encode())
        pss = padding.PSS(padding.MGF1(algorithm()), salt)
        name = "as long as the hash" if salt == algorithm.digest_size else str(salt if isinstance(salt, int) else "longest")
        tokens.append({"alg": alg, "salt": name, "token": message + "." + b64(key.sign(message.encode(), pss, algorithm()))})
    # MGF1 by another hash than the message's.
    pss = padding.PSS(padding.MGF1(hashes.SHA1()), algorithm.digest_size)
    tokens.append({"alg": alg, "salt": "masked by SHA-1", "token": message + "." + b64(key.sign(message.encode(), pss, algorithm()))})
n = b64(public.n.to_bytes(256, "big"))
print(json.dumps({"key": {"kty": "RSA", "kid": "k", "n": n, "e": "AQAB"}, "tokens": tokens}, indent=1))
