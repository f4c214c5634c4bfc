package vault

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// accessor caches the id of the agents' auth mount. It changes when the mount
// is made anew.
type accessor struct {
	mu    sync.Mutex
	value string
}

func (a *accessor) get() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value
}

func (a *accessor) set(v string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.value = v
}

// forget drops v, unless somebody has found a newer one.
func (a *accessor) forget(v string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.value == v {
		a.value = ""
	}
}

func (c *Client) mountAccessor(ctx context.Context) (string, error) {
	if v := c.accessor.get(); v != "" {
		return v, nil
	}
	secret, err := c.do(ctx, request{op: "read_mounts", method: http.MethodGet, path: "sys/auth", repeat: true})
	if err != nil {
		return "", fmt.Errorf("read auth mounts: %w", err)
	}
	var mounts map[string]mount
	if secret != nil {
		if mounts, err = mountsOf(secret.Data); err != nil {
			return "", err
		}
	}
	m, ok := mounts[c.config.JWTMount+"/"]
	if !ok || m.Accessor == "" {
		return "", refuse("The secret store has no auth mount %s; an operator must run `credence setup vault`.", c.config.JWTMount)
	}
	c.accessor.set(m.Accessor)
	return m.Accessor, nil
}

// mount is an auth or secrets engine.
type mount struct {
	Type     string            `json:"type"`
	Accessor string            `json:"accessor"`
	Options  map[string]string `json:"options"`
}

func mountsOf(data map[string]any) (map[string]mount, error) {
	var mounts map[string]mount
	err := decode(data, &mounts)
	return mounts, err
}
