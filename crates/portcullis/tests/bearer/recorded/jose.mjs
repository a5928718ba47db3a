// How jose.json was made, with jose 6.2.18 of npm: node jose.mjs
import * as jose from 'jose';
const claims = {iss: "https://idp.example", sub: "ada", aud: "api", iat: 1767225600, exp: 1767225900, jti: "j"};
const secret = new TextEncoder().encode("0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF");
const tokens = [];
for (const alg of ["ES256","ES384","RS256","RS384","RS512","PS256","PS384","PS512","EdDSA","Ed25519"]) {
  const {publicKey, privateKey} = await jose.generateKeyPair(alg, {extractable: true, modulusLength: 2048});
  const key = await jose.exportJWK(publicKey);
  tokens.push({alg, key, token: await new jose.SignJWT(claims).setProtectedHeader({alg, kid: "k"}).sign(privateKey)});
}
for (const alg of ["HS256","HS384","HS512"]) tokens.push({alg, token: await new jose.SignJWT(claims).setProtectedHeader({alg, kid: "k"}).sign(secret)});
console.log(JSON.stringify({by: "jose 6.2.18", tokens}));
