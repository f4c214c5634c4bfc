package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// requestTimeout bounds what one request may wait for, so that a registry that
// hangs is answered with 503. What goes on at the providers has bounds of its own.
const requestTimeout = 10 * time.Second

// auditTimeout is how long writing the row of a refusal may take.
const auditTimeout = 5 * time.Second

// gate is what a request passes before its handler: a token, a permission,
// parameters that the operation has, a readable document, in this order. What a
// handler refuses for its team comes out here too, so that every refused write is
// in the audit log (invariant C6).
type gate struct {
	authenticator Authenticator
	auditor       Auditor
	log           *slog.Logger
}

// middlewares returns the gate of each operation.
func (g gate) middlewares(operations map[string]operation) map[string][]echo.MiddlewareFunc {
	m := make(map[string][]echo.MiddlewareFunc, len(operations))
	for id, op := range operations {
		m[id] = []echo.MiddlewareFunc{g.pass(op)}
		if op.public {
			m[id] = []echo.MiddlewareFunc{passPublic(op)}
		}
	}
	return m
}

// passPublic is the gate of an operation that anybody may call.
func passPublic(op operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := checkQuery(c.Request().URL.RawQuery, op.query); err != nil {
				return err
			}
			return next(c)
		}
	}
}

func (g gate) pass(op operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx, cancel := context.WithTimeout(c.Request().Context(), op.patience(cmp.Or(c.QueryParam("wait"), c.Request().Header.Get("Prefer"))))
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			var caller registry.Principal
			var document []byte
			err := func() (err error) {
				if caller, err = g.authenticate(c); err != nil {
					return err
				}
				if err := permit(caller, op, cmp.Or(c.Param(op.scope), c.QueryParam(op.scope))); err != nil {
					return err
				}
				if err := checkQuery(c.Request().URL.RawQuery, op.query); err != nil {
					return err
				}
				if op.body.expected {
					if document, err = readDocument(c, op.body); err != nil {
						return err
					}
				}
				return next(c)
			}()
			if op.action != "" && errors.Is(err, registry.Forbidden) {
				g.auditRefusal(c, op, caller, document, err)
			}
			return err
		}
	}
}

// authenticate makes the caller the request's principal. Beside Forbidden it
// returns who was refused, for the audit log alone.
func (g gate) authenticate(c echo.Context) (registry.Principal, error) {
	token, err := authn.BearerToken(c.Request().Header.Values(echo.HeaderAuthorization))
	if err != nil {
		return registry.Principal{}, err
	}
	p, err := g.authenticator.Authenticate(c.Request().Context(), token)
	if err != nil {
		return p, err
	}
	c.SetRequest(c.Request().WithContext(authn.WithPrincipal(c.Request().Context(), p)))
	return p, nil
}

// permit holds the caller to op. scope is the value of the parameter that op.scope
// names.
func permit(by registry.Principal, op operation, scope string) error {
	allowed := len(op.anyOf) == 0 || slices.ContainsFunc(op.anyOf, by.Can)
	if op.scope != "" {
		allowed = allowed || by.Can(op.anyOf[0]+registry.Permission(":"+scope))
	}
	if !allowed {
		return denied(by, op.anyOf[0])
	}
	if op.also != "" && !by.Can(op.also) {
		return denied(by, op.also)
	}
	return nil
}

func denied(by registry.Principal, needed registry.Permission) error {
	return registry.Forbidden.Errorf("permission_denied", "this needs the permission %q; your token has %q", needed, by.Permissions)
}

// patience is how long a request of the operation may take.
func (o operation) patience(wait string) time.Duration {
	if o.waits && wait != "" {
		return MaxWait + requestTimeout
	}
	return requestTimeout
}

// readDocument checks the request's body and puts it back for the handler, who
// sees one media type only. A body that may be left out and was is nil.
func readDocument(c echo.Context, b body) ([]byte, error) {
	r := c.Request()
	if b.optional && isEmpty(r) {
		r.Body, r.ContentLength = http.NoBody, 0
		return nil, nil
	}
	if err := strictjson.ContentType(r.Header.Get(echo.HeaderContentType), b.also...); err != nil {
		return nil, err
	}
	if r.ContentLength > strictjson.MaxBytes {
		return nil, registry.TooLarge.Errorf("body_too_large", "the document has more than %d bytes", strictjson.MaxBytes)
	}
	document, err := strictjson.Read(r.Body, strictjson.MaxBytes)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(document))
	r.ContentLength = int64(len(document))
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	return document, nil
}

// isEmpty reports whether the request has no body; where its length is not known,
// the first byte tells.
func isEmpty(r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength == 0
	}
	body := bufio.NewReader(r.Body)
	r.Body = io.NopCloser(body)
	_, err := body.Peek(1)
	return errors.Is(err, io.EOF)
}

// auditRefusal writes the row of a write that the caller was refused. It is
// refused whether or not the row could be written.
func (g gate) auditRefusal(c echo.Context, op operation, caller registry.Principal, document []byte, refusal error) {
	ctx := c.Request().Context()
	event := registry.AuditEvent{Actor: caller.Actor(ctx), Action: op.action, Outcome: registry.Denied, ObjectKind: op.kind}
	if e, ok := registry.AsError(refusal); ok {
		event.Detail = e.Code
	}
	if ref := c.Param("name"); registry.IsUUID(ref) {
		event.ObjectID = ref
	} else if registry.ValidName(ref) {
		event.ObjectName = ref
	} else if key := layerKey(c.Param("tier"), c.Param("id")); key.Valid() {
		event.ObjectID, event.ObjectName = key.String(), key.String()
		if key.Tier == registry.TierTeam {
			event.Team = key.ID
		}
	}
	var named struct{ Name, Team string }
	if json.Unmarshal(document, &named) == nil {
		if registry.ValidName(named.Name) {
			event.ObjectName = named.Name
		}
		if registry.ValidName(named.Team) {
			event.Team = named.Team
		}
	}
	// Hanging up must not keep a refusal out of the log.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := g.auditor.RecordAudit(ctx, event); err != nil {
		g.log.ErrorContext(ctx, "a refusal could not be audited", "action", op.action, "error", err)
	}
}
