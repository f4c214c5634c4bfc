# What a decision log may hold of an input: what policy reads of it, less the token
# that the Data API was given. All else goes, so that a bearer token, a cookie or a
# body stays out wherever in the input it is.
#
# OPA drops the event whose mask fails and logs it whole where the mask is
# undefined: this one is defined for every input, and its operations apply to all.
package system.log

mask := [
	{"op": "upsert", "path": "/input", "value": readable},
	{"op": "remove", "path": "/result/body"},
]

default readable := null

readable := json.filter(input.input, [
	"attributes/request/http/method",
	"attributes/metadataContext/filterMetadata/envoy.filters.http.jwt_authn/jwt_payload",
	"parsed_path",
	"request/method",
	"request/path",
	"resource/id",
	"resource/type",
]) if {
	is_object(input.input)
}
