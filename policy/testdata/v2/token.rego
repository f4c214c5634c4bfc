# When a token is in force (RFC 7519, 4.1.4 and 4.1.5). This is checked here
# whatever was said of the token: who verified it may have done so long ago.
package mcp.token

import data.mcp.transport

# A string is greater than any number in Rego: types come before comparisons.
current if {
	now := time.now_ns()
	claims := transport.claims
	is_number(claims.exp)
	now < claims.exp * 1000000000
	not_before := object.get(claims, "nbf", 0)
	is_number(not_before)
	not_before * 1000000000 <= now
}
