package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// apiError is a failure in the dialect of the Management API.
type apiError struct {
	StatusCode int    `json:"statusCode"`
	Title      string `json:"error"`
	Message    string `json:"message"`
	ErrorCode  string `json:"errorCode,omitempty"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.StatusCode, e.Message) }

func apiErrorf(status int, code, format string, args ...any) *apiError {
	return &apiError{
		StatusCode: status,
		Title:      http.StatusText(status),
		Message:    fmt.Sprintf(format, args...),
		ErrorCode:  code,
	}
}

// invalidBody is Auth0's answer to a body that does not fit the endpoint.
func invalidBody(format string, args ...any) *apiError {
	return apiErrorf(http.StatusBadRequest, "invalid_body", "Payload validation error: "+format+".", args...)
}

// oauthError is a failure in the dialect of the token endpoint (RFC 6749,
// section 5.2).
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.Code, e.Description) }

func oauthErrorf(status int, code, format string, args ...any) *oauthError {
	return &oauthError{status: status, Code: code, Description: fmt.Sprintf(format, args...)}
}

// writeError answers with err in its own dialect.
func writeError(w http.ResponseWriter, err error) {
	if api, ok := errors.AsType[*apiError](err); ok {
		writeJSON(w, api.StatusCode, api)
		return
	}
	if oauth, ok := errors.AsType[*oauthError](err); ok {
		writeJSON(w, oauth.status, oauth)
		return
	}
	writeJSON(w, http.StatusInternalServerError,
		apiErrorf(http.StatusInternalServerError, "", "The emulator failed: %v", err))
}

// writeJSON answers with v. The connection alone can fail it, which the client
// sees.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
