// An OpenID provider to try `axum_oidc_api` with: oidc-provider by Filip Skokan, which is certified by the OpenID
// Foundation, at http://localhost:8080. `axum_oidc_api.rs` says how to run it.
//
// * `job` is a program: client credentials. `web` is an application for people: authorization code with PKCE; whoever
//   signs in is whom they say they are.
// * A token is for the API that `resource` names (RFC 8707): its `aud` is the last part of that address.
// * Each start makes a new key, as if it had been rotated. TTL is how long tokens are good for, in seconds.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { exportJWK } from "jose";
import Provider from "oidc-provider";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...(await exportJWK(privateKey)), kid: randomUUID(), use: "sig", alg: "RS256" };

const provider = new Provider("http://localhost:8080", {
  jwks: { keys: [key] },
  clients: [
    { client_id: "job", client_secret: "secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    { client_id: "web", client_secret: "secret", redirect_uris: ["http://localhost:3000/callback"] },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: "notes.read notes.write",
        audience: new URL(resource).pathname.split("/").pop(),
        accessTokenFormat: "jwt",
        accessTokenTTL: Number(process.env.TTL ?? 600),
      }),
    },
  },
});
provider.listen(8080, "127.0.0.1", () => console.log("http://localhost:8080 is ready"));
