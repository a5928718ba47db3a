# How pyjwt.json was made, with PyJWT 2.15.1 and cryptography 50.0.2: python pyjwt.py
import json, jwt
from jwt.algorithms import RSAAlgorithm, ECAlgorithm, OKPAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa, ec, ed25519
claims = {"iss": "https://idp.example", "sub": "ada", "aud": "api", "iat": 1767225600, "exp": 1767225900, "jti": "j"}
secret = b"0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF"
r = rsa.generate_private_key(65537, 2048)
keys = {"ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}
for a in ["RS256","RS384","RS512","PS256","PS384","PS512"]: keys[a]=r
tok=[]
for alg,k in keys.items():
    if alg[0] in "RP": jwk=json.loads(RSAAlgorithm.to_jwk(r.public_key()))
    elif alg.startswith("ES"): jwk=json.loads(ECAlgorithm.to_jwk(k.public_key()))
    else: jwk=json.loads(OKPAlgorithm.to_jwk(k.public_key()))
    jwk.pop("key_ops",None)
    tok.append({"alg":alg,"key":jwk,"token":jwt.encode(claims,k,algorithm=alg,headers={"kid":"k"})})
for alg in ["HS256","HS384","HS512"]:
    tok.append({"alg":alg,"token":jwt.encode(claims,secret,algorithm=alg,headers={"kid":"k"})})
print(json.dumps({"by":"PyJWT "+jwt.__version__,"tokens":tok}))
