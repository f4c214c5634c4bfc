package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
)

// GetResourceMetadata handles GET /resources/{name}/metadata.
func (s *Server) GetResourceMetadata(ctx context.Context, req api.GetResourceMetadataRequestObject) (api.GetResourceMetadataResponseObject, error) {
	name, environment, ifNoneMatch := req.Name, req.Params.Environment, req.Params.IfNoneMatch
	if environment != nil && !registry.ValidName(*environment) {
		return nil, registry.Invalid.Errorf("invalid_parameter", "environment is not one that there can be; leave it out to ask for all")
	}
	m, err := s.resources.Metadata(ctx, name, deref(environment))
	if err != nil {
		return nil, err
	}
	tag := m.Tag()
	unchanged, err := notModified(ifNoneMatch, tag)
	if err != nil {
		return nil, err
	}
	return metadataResponse{m, tag, *s.age(), unchanged}, nil
}

// metadataResponse is an answer. Gateways ask at every call, and the
// generated responses take most of their time for the header, one field at a time.
type metadataResponse struct {
	resources.Metadata
	tag       string
	age       int // seconds
	unchanged bool
}

// VisitGetResourceMetadataResponse writes the answer to GET.
func (r metadataResponse) VisitGetResourceMetadataResponse(w http.ResponseWriter) error {
	if r.unchanged {
		r.writeHeader(w)
		return nil
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(metadataToAPI(r.Metadata)); err != nil {
		return err
	}
	r.writeHeader(w)
	_, err := body.WriteTo(w)
	return err
}

// writeHeader writes the status and the header. The fields are for gateways that do
// not read bodies; none of the values has more than names, so nobody can write a
// field of their own with them.
func (r metadataResponse) writeHeader(w http.ResponseWriter) {
	values := make([]string, 0, 8)
	set := func(canonical, value string) {
		values = append(values, value)
		w.Header()[canonical] = values[len(values)-1 : len(values) : len(values)]
	}
	set("Etag", *etag(r.tag))
	set("Age", strconv.Itoa(r.age))
	if r.unchanged {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	environment := r.Environment
	if environment == "" {
		environment = strings.Join(r.Environments, ", ")
	}
	set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	set("X-Resource-Type", string(r.Type))
	set("X-Resource-Team", r.Team)
	set("X-Resource-Environment", environment)
	set("X-Resource-Data-Classification", r.DataClassification)
	set("X-Resource-Revision", strconv.FormatInt(r.Revision, 10))
	w.WriteHeader(http.StatusOK)
}

func metadataToAPI(m resources.Metadata) api.ResourceMetadata {
	out := api.ResourceMetadata{
		Name: m.Name, Type: api.ResourceType(m.Type), Team: m.Team, Environment: optional(m.Environment),
		DataClassification: api.DataClassification(m.DataClassification), RequiredPermissions: notNil(m.RequiredPermissions),
		Access: accessToAPI(m.Access), Labels: labelsToAPI(m.Labels), Revision: m.Revision,
	}
	if m.Environment == "" {
		all := notNil(m.Environments)
		out.Environments = &all
	}
	return out
}
