package emulator

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const authMethodNone = "none"

// clientSchema lists what POST /clients accepts.
var clientSchema = schema{
	required: []string{"name"},
	properties: map[string]rule{
		"name":                                  matching(text(1, 255), "^[^<>]+$"),
		"description":                           text(0, 140),
		"client_secret":                         text(1, 255),
		"app_type":                              oneOf("native", "spa", "regular_web", "non_interactive", "resource_server", "express_configuration"),
		"logo_uri":                              text(0, 2048),
		"is_first_party":                        isBool,
		"is_token_endpoint_ip_header_trusted":   isBool,
		"oidc_conformant":                       isBool,
		"callbacks":                             arrayOf(100, text(1, 2048)),
		"allowed_origins":                       arrayOf(100, text(1, 2048)),
		"web_origins":                           arrayOf(100, text(1, 2048)),
		"client_aliases":                        arrayOf(100, text(1, 2048)),
		"allowed_clients":                       arrayOf(100, text(1, 255)),
		"allowed_logout_urls":                   arrayOf(100, text(1, 2048)),
		"jwt_configuration":                     isObject,
		"encryption_key":                        isObject,
		"sso":                                   isBool,
		"sso_disabled":                          isBool,
		"cross_origin_authentication":           isBool,
		"cross_origin_loc":                      text(0, 2048),
		"grant_types":                           arrayOf(20, text(1, 255)),
		"custom_login_page_on":                  isBool,
		"custom_login_page":                     text(0, 1<<20),
		"custom_login_page_preview":             text(0, 1<<20),
		"form_template":                         text(0, 1<<20),
		"addons":                                isObject,
		"token_endpoint_auth_method":            oneOf(authMethodNone, "client_secret_post", "client_secret_basic"),
		"client_metadata":                       metadataRule,
		"mobile":                                isObject,
		"initiate_login_uri":                    text(0, 2048),
		"native_social_login":                   isObject,
		"refresh_token":                         isObject,
		"organization_usage":                    oneOf("deny", "allow", "require"),
		"organization_require_behavior":         oneOf("no_prompt", "pre_login_prompt", "post_login_prompt"),
		"organization_discovery_methods":        arrayOf(2, oneOf("email", "organization_name")),
		"client_authentication_methods":         authenticationMethods,
		"require_pushed_authorization_requests": isBool,
		"require_proof_of_possession":           isBool,
		"oidc_backchannel_logout":               isObject,
		"oidc_logout":                           isObject,
		"signed_request_object":                 isObject,
		"compliance_level":                      text(1, 255),
		"default_organization":                  isObject,
		"token_exchange":                        isObject,
		"token_quota":                           isObject,
		"session_transfer":                      isObject,
		"resource_server_identifier":            text(1, 600),
		"async_approval_notification_channels":  isArray,
		"express_configuration":                 isObject,
		"my_organization_configuration":         isObject,
		"skip_non_verifiable_callback_uri_confirmation_prompt": isBool,
	},
}

// nullableClientProperties may be cleared with null in a PATCH.
var nullableClientProperties = []string{
	"addons", "client_authentication_methods", "client_metadata", "compliance_level", "cross_origin_loc",
	"default_organization", "encryption_key", "express_configuration", "initiate_login_uri", "mobile",
	"my_organization_configuration", "organization_discovery_methods", "organization_require_behavior",
	"organization_usage", "refresh_token", "session_transfer", "signed_request_object",
	"token_endpoint_auth_method", "token_exchange", "token_quota",
	"skip_non_verifiable_callback_uri_confirmation_prompt",
}

// clientPatchSchema is the same for PATCH, where what binds a client to an API
// cannot change.
var clientPatchSchema = clientSchema.without("resource_server_identifier")

// metadataKey is what Auth0 documents for the names of metadata.
var metadataKey = regexp.MustCompile(`^[A-Za-z0-9:,\-+=_*?"/\\()<>@\t ]+$`)

const (
	maxMetadataKeys  = 10
	maxMetadataChars = 255
)

// metadataRule checks each key and value; validate counts them after a merge.
func metadataRule(v any) string {
	metadata, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprintf("Expected type object but found type %s", typeName(v))
	}
	for k, value := range metadata {
		s, isText := value.(string)
		switch {
		case !metadataKey.MatchString(k) || len(k) > maxMetadataChars:
			return "Metadata keys are 1 to 255 of the allowed characters"
		case value != nil && !isText:
			return fmt.Sprintf("Expected type string but found type %s", typeName(value))
		case utf8.RuneCountInString(s) > maxMetadataChars:
			return "Metadata values are at most 255 characters"
		}
	}
	return ""
}

// authenticationMethods accepts exactly one method with its credentials.
func authenticationMethods(v any) string {
	methods, ok := v.(map[string]any)
	if !ok || len(methods) != 1 {
		return "Expected an object with exactly one method"
	}
	return object(schema{properties: map[string]rule{
		"private_key_jwt":             object(credentialList),
		"tls_client_auth":             object(credentialList),
		"self_signed_tls_client_auth": object(credentialList),
	}})(v)
}

var credentialList = schema{
	required:   []string{"credentials"},
	properties: map[string]rule{"credentials": arrayOf(2, isObject)},
}

// applyClientDefaults fills in what Auth0 has filled in since the first recording
// (TestClient_Create and its siblings).
func applyClientDefaults(doc document) {
	defaults := document{
		"is_first_party":                      true,
		"is_token_endpoint_ip_header_trusted": false,
		"oidc_conformant":                     false,
		"sso_disabled":                        false,
		"custom_login_page_on":                true,
		"grant_types":                         defaultGrantTypes(doc),
		"jwt_configuration":                   document{"lifetime_in_seconds": float64(36000)},
		"refresh_token": document{
			"rotation_type":                "non-rotating",
			"expiration_type":              "non-expiring",
			"leeway":                       float64(0),
			"token_lifetime":               float64(2592000),
			"infinite_token_lifetime":      true,
			"infinite_idle_token_lifetime": true,
			"idle_token_lifetime":          float64(1296000),
		},
	}
	for name, v := range defaults {
		if _, ok := doc[name]; !ok {
			doc[name] = v
		}
	}
	fillJWTConfiguration(doc)
}

func fillJWTConfiguration(doc document) {
	if jwt, ok := doc["jwt_configuration"].(map[string]any); ok {
		if _, ok := jwt["secret_encoded"]; !ok {
			jwt["secret_encoded"] = false
		}
	}
}

// defaultGrantTypes is the trap of POST /clients: a client that names no grant
// types gets all of these.
func defaultGrantTypes(doc document) []any {
	switch {
	case doc["app_type"] == "resource_server":
		return []any{}
	case doc["app_type"] == "express_configuration":
		return []any{"authorization_code", grantClientCredentials}
	case doc["token_endpoint_auth_method"] == authMethodNone:
		return []any{"authorization_code", "implicit", "refresh_token"}
	}
	return []any{"authorization_code", "implicit", "refresh_token", grantClientCredentials}
}

// validate checks what concerns several properties at once.
func (c *client) validate() error {
	_, method := c.doc["token_endpoint_auth_method"]
	_, keys := c.doc["client_authentication_methods"]
	switch {
	case keys && c.signsWithSecret():
		return invalidBody("'client_authentication_methods exclude HS256 in jwt_configuration.alg'")
	case method && keys:
		return invalidBody("'token_endpoint_auth_method and client_authentication_methods exclude each other'")
	case c.doc["token_endpoint_auth_method"] == authMethodNone && slices.Contains(c.grantTypes(), grantClientCredentials):
		return apiErrorf(http.StatusBadRequest, "invalid_body", "Invalid grant types: %s", grantClientCredentials)
	case len(c.metadata()) > maxMetadataKeys:
		return invalidBody("'Too many properties defined (%d), maximum %d' on property client_metadata", len(c.metadata()), maxMetadataKeys)
	}
	return nil
}

// signsWithSecret reports whether the client's ID tokens are signed with its
// secret, which a client that authenticates in another way does not have.
func (c *client) signsWithSecret() bool {
	jwt, _ := c.doc["jwt_configuration"].(map[string]any)
	return jwt["alg"] == "HS256"
}

// mergeClient applies a PATCH: properties replace each other, but metadata is
// merged key by key, and null clears.
func mergeClient(old, patch document) document {
	doc := merge(old, patch)
	if change, ok := patch["client_metadata"].(map[string]any); ok {
		before, _ := old["client_metadata"].(map[string]any)
		if before == nil {
			before = document{}
		}
		doc["client_metadata"] = merge(before, change)
	}
	fillJWTConfiguration(doc)
	return doc
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// splitList splits a comma-separated query value.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
