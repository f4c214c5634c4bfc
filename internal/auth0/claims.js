// Credence: writes who an agent is into its access tokens.
//
// `credence setup auth0` keeps this Action. It sets claims for one audience and
// for the applications of one installation, and leaves every other token as it
// is. The values come from the application's metadata, never from the request.
const audience = "AUDIENCE";
const managedBy = "MANAGED_BY";
const claims = ["CLAIMS"];

exports.onExecuteCredentialsExchange = async (event, api) => {
  const metadata = event.client.metadata || {};
  if (event.resource_server.identifier !== audience || metadata.managed_by !== managedBy) {
    return;
  }
  for (const name of claims) {
    const value = metadata[name];
    if (typeof value === "string" && value !== "") {
      api.accessToken.setCustomClaim(audience + name, value);
    }
  }
};
