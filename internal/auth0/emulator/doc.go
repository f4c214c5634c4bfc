// Package emulator is a stateful emulator of an Auth0 tenant: the part of the
// Management API that Credence uses, the token endpoint for client credentials,
// key and discovery documents, and Actions that run as JavaScript.
//
// It is the identity provider of `credence dev` and of tests, never of a
// production server. Recorded traffic of a real tenant holds it to Auth0's
// behaviour (TestConformance); where the recordings are silent it follows
// Auth0's documentation, and where that is silent too it chooses the stricter
// reading.
//
// Known differences to Auth0, each on purpose:
//   - Secrets are kept as hashes, so client_secret appears only in the answer
//     that made it; Auth0 shows it again to holders of read:client_keys.
//   - An Action's build takes two looks at the Action instead of some seconds.
//   - Tokens are signed with RS256 alone; an API with another signing_alg gets
//     no token.
//   - Clients of mutual TLS can be made but get no token.
//   - What an assertion lacks is answered with 401 invalid_client (RFC 6749
//     section 5.2), whatever it is; Auth0's own words are not documented.
//   - An API without RBAC shows no enforce_policies; clients show neither
//     signing_keys nor cross_origin_authentication. Nothing here reads them.
//   - Only the client-credentials grant exists. What a person's login would give
//     comes from MintUserToken.
//   - Query parameters that are not emulated are refused, not ignored.
package emulator
