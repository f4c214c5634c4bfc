# The two forms of input: opa-envoy-plugin's own, and that of a program which asks
# the Data API. Only this package knows them apart. Whatever an input does not say,
# or says as another type, is undefined here.
package mcp.transport

# Whatever its value: an input with `attributes: null` is no one else's.
envoy if some "attributes", _ in input

# claims are those of a token that somebody verified: behind Envoy jwt_authn, whose
# metadata no client can write; else the program that asks. A `jwt` beside Envoy's
# attributes is the client's own word and never counts.
claims := payload if {
	payload := input.attributes.metadataContext.filterMetadata["envoy.filters.http.jwt_authn"].jwt_payload
	is_object(payload)
}

claims := input.jwt.payload if {
	not envoy
	input.jwt.valid == true
	is_object(input.jwt.payload)
}

subject := claims.sub if is_string(claims.sub)

permissions := claims.permissions if is_array(claims.permissions)

method := input.attributes.request.http.method if is_string(input.attributes.request.http.method)

method := input.request.method if {
	not envoy
	is_string(input.request.method)
}

# path is what follows the name of the resource.
path := array.slice(input.parsed_path, name_index + 1, count(input.parsed_path)) if is_array(input.parsed_path)

path := input.request.path if {
	not envoy
	is_array(input.request.path)
}

resource_name := input.parsed_path[name_index] if {
	is_string(input.parsed_path[name_index])

	# What Envoy routes by and what the server makes of a dot segment differ.
	not "." in input.parsed_path
	not ".." in input.parsed_path
}

resource_name := input.resource.id if {
	not envoy
	is_string(input.resource.id)
}

# /mcp/{name}/... and its alias /mcp://{name}/...
name_index := 1 if {
	envoy
	input.parsed_path[0] == "mcp"
}

name_index := 2 if {
	envoy
	input.parsed_path[0] == "mcp:"
	input.parsed_path[1] == ""
}
